"""Health: is the process alive, is the service ready; damage stops what would write."""

from flask import Blueprint, Flask, Response, jsonify, request
from flask.typing import ResponseReturnValue

from leadcapture import integrity
from leadcapture.database import db
from leadcapture.readiness import Probe
from leadcapture.web import PROBE, now, probe, settings

blueprint = Blueprint("health", __name__)


def register(app: Flask) -> None:
    """Open the two addresses, and keep whatever writes away from a damaged database."""
    app.register_blueprint(blueprint)
    app.before_request(_refuse_to_write)
    with app.app_context():
        integrity.remember_damage_met(db.engine, settings().data_dir)
        app.extensions[PROBE] = Probe(db.engine, settings().data_dir, tuple(settings().seal_keys))


@blueprint.get("/healthz")
def alive() -> Response:
    """200 while this process answers at all: what a load balancer asks."""
    return jsonify(alive=True)


@blueprint.get("/readyz")
def ready() -> tuple[Response, int]:
    """200 where nothing is amiss, else 503 with every reason: what a monitor asks (OP-01)."""
    why = probe().reasons(now())
    return jsonify(ready=not why, why=why), 503 if why else 200


def _refuse_to_write() -> ResponseReturnValue | None:
    if request.method in ("GET", "HEAD", "OPTIONS") or not integrity.is_damaged(
        settings().data_dir
    ):
        return None
    return "Nothing can be kept here at the moment. Please call us instead.", 503
