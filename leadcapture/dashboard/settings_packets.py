"""Settings of packets: which are attached to their letter, and which only its link opens."""

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from leadcapture import web
from leadcapture.accounts.access import RoleName, me, staff_only
from leadcapture.dashboard.blueprint import blueprint
from leadcapture.database import db
from leadcapture.languages import page_language
from leadcapture.leads import setting_changes
from leadcapture.letters import linked

AREA = "packets"


@blueprint.get("/settings/packets")
@staff_only(RoleName.ADMIN)
def packet_ways() -> ResponseReturnValue:
    """Each packet, how it reaches people, and what that means."""
    return render_template(
        "dashboard/settings_packets.html",
        titles=linked.packet_titles(db.session(), page_language()),
        linked=linked.read_linked(db.session()),
        days=web.settings().packet_link_days,
        changes=setting_changes.latest(db.session(), AREA),
    )


@blueprint.post("/settings/packets")
@staff_only(RoleName.ADMIN)
def packet_ways_change() -> ResponseReturnValue:
    """Attach what is ticked from now on, and nothing else."""
    titles = linked.packet_titles(db.session(), "en")
    attached = set(request.form.getlist("attached"))
    before, now = linked.read_linked(db.session()), web.now()
    linked.keep_linked(db.session(), titles.keys() - attached, now)
    changes = [
        setting_changes.record(
            db.session(),
            AREA,
            title,
            _way(topic in before),
            _way(topic not in attached),
            me().id,
            now,
        )
        for topic, title in titles.items()
    ]
    db.session.commit()
    told = gettext("Saved. Whoever asks from now on, give or take ten seconds, gets it so.")
    flash(told if any(changes) else gettext("Nothing was changed."))
    return redirect(url_for("dashboard.packet_ways"), 303)


def _way(is_linked: bool) -> dict[str, str]:
    return {"way": "linked" if is_linked else "attached"}
