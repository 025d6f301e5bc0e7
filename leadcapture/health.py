"""Health: is the process alive, is the service ready."""

from datetime import timedelta

from flask import Blueprint, Flask, Response, jsonify
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from leadcapture.database import db
from leadcapture.models import Heartbeat
from leadcapture.web import now

SILENT_AFTER = timedelta(seconds=90)

blueprint = Blueprint("health", __name__)


def register(app: Flask) -> None:
    app.register_blueprint(blueprint)


@blueprint.get("/healthz")
def alive() -> Response:
    """200 while this process answers at all."""
    return jsonify(alive=True)


@blueprint.get("/readyz")
def ready() -> tuple[Response, int]:
    """200 while the database answers and a scheduler has committed a tick within 90 s."""
    try:
        last = db.session.scalar(select(Heartbeat.at).order_by(Heartbeat.at.desc()).limit(1))
    except SQLAlchemyError:
        return jsonify(ready=False, why="database"), 503
    if last is None or now() - last > SILENT_AFTER:
        return jsonify(ready=False, why="scheduler"), 503
    return jsonify(ready=True), 200
