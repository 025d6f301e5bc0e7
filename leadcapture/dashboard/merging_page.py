"""Two leads side by side: staff choose what stays and make them one, or say that they are two."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, ngettext
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from leadcapture import web
from leadcapture.accounts.access import CARE, me, staff_only
from leadcapture.dashboard import on_record, words
from leadcapture.dashboard.answers import Answers, open_answers
from leadcapture.dashboard.blueprint import blueprint
from leadcapture.dashboard.times import exact
from leadcapture.database import db
from leadcapture.leads import changes, duplicates, letters_ahead, merging, tags
from leadcapture.leads.merge_choices import CHOICES, differing, likely_choices
from leadcapture.models import (
    Consent,
    Lead,
    LeadStatus,
    Message,
    MessageKind,
    Request,
    Staff,
    Suppression,
    Tag,
    TimelineEntry,
)

_SHOWN = 5
_THIS, _THAT = "this", "that"


@dataclass(frozen=True)
class Side:
    """What is shown of one of the two; ``stopped`` are the scopes that its address stopped."""

    lead: Lead
    requests: Sequence[tuple[Request, Answers]]
    letters: Sequence[Message]
    consents: Sequence[Consent]
    stopped: Collection[str]
    tags: Sequence[Tag]


@dataclass(frozen=True)
class Choice:
    """What stays: whose address (``this`` or ``that``), and whose value of each field."""

    stays: str
    values: Mapping[str, str] = field(default_factory=dict)


@blueprint.get("/leads/<ref>/merging/<other>")
@staff_only(*CARE)
def merging_page(ref: str, other: str) -> ResponseReturnValue:
    """Both side by side; that both were opened is on record before anything is shown."""
    this, that = _pair(ref, other)
    if gone := _gone(this, that):
        return gone
    for lead in (this, that):
        on_record.lead_opened(lead)
    return _show(this, that, _likely(this, that))


@blueprint.post("/leads/<ref>/merging/<other>")
@staff_only(*CARE)
def merging_done(ref: str, other: str) -> ResponseReturnValue:
    """Make them one, as chosen; where one of them has changed meanwhile, ask again."""
    session = db.session()
    merging.take_turn(session)
    this, that = _pair(ref, other)
    if gone := _gone(this, that):
        return gone
    choice = _read(this, that)
    stale = [
        (lead, found)
        for lead, name in ((this, "version"), (that, "version_other"))
        if (found := changes.check_version(session, lead, request.form.get(name, "")))
    ]
    if stale:
        return _show(this, that, choice, stale)
    kept, gone_in = (this, that) if choice.stays == _THIS else (that, this)
    taken = [name for name, whose in choice.values.items() if whose != choice.stays]
    try:
        merge = merging.merge(
            session, web.vault(), web.settings(), kept, gone_in, taken, me().id, web.now()
        )
    except merging.MergeRefused as refused:
        session.rollback()
        flash(_why_refused(refused), "failed")
        return redirect(url_for("dashboard.lead", ref=ref), 303)
    session.commit()
    return redirect(url_for("dashboard.lead", ref=kept.ref, merged=merge.ref), 303)


@blueprint.post("/merges/<ref>/undoing")
@staff_only(*CARE)
def merge_undoing(ref: str) -> ResponseReturnValue:
    """Take a merge apart again, within 30 days."""
    merge = merging.find_merge(db.session(), ref)
    if merge is None:
        abort(404)
    kept, other = merge.kept, merge.merged
    try:
        undone = merging.undo(db.session(), web.vault(), web.settings(), merge, me().id, web.now())
    except merging.MergeRefused as refused:
        db.session.rollback()
        flash(_why_refused(refused), "failed")
        return redirect(url_for("dashboard.lead", ref=kept.ref), 303)
    db.session.commit()
    flash(_undone_sentence(other, undone))
    return redirect(url_for("dashboard.lead", ref=kept.ref), 303)


@blueprint.post("/leads/<ref>/difference/<other>")
@staff_only(*CARE)
def difference(ref: str, other: str) -> ResponseReturnValue:
    """Say that they are not the same person, or that they may be after all (``off``)."""
    this, that = _pair(ref, other)
    if gone := _gone(this, that):
        return gone
    if request.form.get("off"):
        duplicates.take_back(db.session(), this, that, me().id, web.now())
        db.session.commit()
        flash(gettext("They may be the same person again, as far as the desk is concerned."))
        return redirect(url_for("dashboard.merging_page", ref=ref, other=other), 303)
    duplicates.tell_apart(db.session(), this, that, me().id, web.now())
    db.session.commit()
    return redirect(url_for("dashboard.lead", ref=ref, apart=that.ref), 303)


def just_told_apart(lead: Lead) -> Lead | None:
    """Whom the address says was just told apart from this lead, so that it can be taken back."""
    ref = request.args.get("apart", "")
    if not ref or not ref.isascii():
        return None
    other = db.session.scalar(select(Lead).where(Lead.ref == ref))
    if other is None or duplicates.told_apart(db.session(), lead, other) is None:
        return None
    return other


def _pair(ref: str, other: str) -> tuple[Lead, Lead]:
    found = {
        lead.ref: lead
        for lead in db.session.scalars(
            select(Lead)
            .where(Lead.ref.in_((ref, other)))
            .options(joinedload(Lead.owner).lazyload(Staff.roles))
            .execution_options(populate_existing=True)
        )
    }
    if len(found) != 2:
        abort(404)
    return found[ref], found[other]


def _gone(this: Lead, that: Lead) -> ResponseReturnValue | None:
    """Where the two cannot be compared any more, the way to the lead's page, and why."""
    try:
        merging.check(this, that)
    except merging.MergeRefused as refused:
        if refused.args[0] == "merged":
            flash(_who_merged(this if this.merged_into_id else that), "failed")
        else:
            flash(_why_refused(refused), "failed")
        return redirect(url_for("dashboard.lead", ref=this.ref), 303)
    return None


def _who_merged(gone: Lead) -> str:
    """Of two who merge the same leads at once, one reads this."""
    entry = db.session.scalar(
        select(TimelineEntry)
        .where(TimelineEntry.lead_id == gone.merged_into_id, TimelineEntry.kind == "merged")
        .options(joinedload(TimelineEntry.actor).lazyload(Staff.roles))
        .order_by(TimelineEntry.at.desc(), TimelineEntry.id.desc())
        .limit(1)
    )
    who = entry.actor.name if entry and entry.actor else "–"
    when = exact(entry.at) if entry else "–"
    return str(
        gettext(
            "%(colleague)s has merged %(name)s already, %(when)s. Nothing of yours was done; this "
            "is the lead that stays.",
            colleague=who,
            name=gone.full_name,
            when=when,
        )
    )


def _why_refused(refused: merging.MergeRefused) -> str:
    told: dict[str, str] = {
        "merged": gettext("A colleague has merged one of them already."),
        "held": gettext(
            "A request of one of them is held. Release or discard it first, then merge them."
        ),
        "late": gettext("A merge can be undone for 30 days; this one is older."),
        "undone": gettext("It was undone already."),
        "went_on": gettext(
            "The lead that stayed was itself merged with another since. Undo that merge first."
        ),
    }
    return told[str(refused)]


def _undone_sentence(other: Lead, undone: merging.Undone) -> str:
    told = [str(gettext("Undone: %(name)s stands alone again.", name=other.full_name))]
    if undone.left:
        told.append(str(gettext("What a colleague has changed since stays as it is.")))
    if undone.letters:
        told.append(
            str(
                ngettext(
                    "%(num)d follow-up that the merge had cancelled goes out after all.",
                    "%(num)d follow-ups that the merge had cancelled go out after all.",
                    undone.letters,
                )
            )
        )
    if undone.ended:
        told.append(
            str(
                ngettext(
                    "%(num)d follow-up stays cancelled: it would come too late, or must not go out "
                    "any more.",
                    "%(num)d follow-ups stay cancelled: they would come too late, or must not go "
                    "out any more.",
                    undone.ended,
                )
            )
        )
    return " ".join(told)


def _likely(this: Lead, that: Lead) -> Choice:
    """The older one stays, unless only the other has an address or has come further."""
    stays = _THIS if bool(this.email) >= bool(that.email) else _THAT
    kept, other, own, others = (
        (this, that, _THIS, _THAT) if stays == _THIS else (that, this, _THAT, _THIS)
    )
    taken = likely_choices(kept, other)
    return Choice(stays, {name: others if name in taken else own for name in CHOICES})


def _read(this: Lead, that: Lead) -> Choice:
    likely = _likely(this, that)

    def chosen(name: str, otherwise: str) -> str:
        word = request.form.get(name, "")
        return word if word in (_THIS, _THAT) else otherwise

    stays = chosen("stays", likely.stays)
    if not this.email or not that.email:
        # A lead without an address cannot be the one that letters go to.
        stays = likely.stays
    return Choice(stays, {name: chosen(name, likely.values[name]) for name in CHOICES})


def _show(
    this: Lead,
    that: Lead,
    choice: Choice,
    stale: Sequence[tuple[Lead, changes.Stale]] = (),
) -> ResponseReturnValue:
    page = render_template(
        "dashboard/merging.html",
        this=this,
        that=that,
        sides=_sides(this, that),
        is_ahead=letters_ahead.is_ahead,
        choice=choice,
        differing=differing(this, that),
        now=web.now(),
        choices=tuple(CHOICES),
        apart=duplicates.told_apart(db.session(), this, that),
        stale=[
            (lead, [(entry, words.happened(entry)) for entry in found.entries])
            for lead, found in stale
        ],
        days=merging.UNDONE_WITHIN.days,
        new=LeadStatus.NEW,
    )
    return page, 409 if stale else 200


def _sides(this: Lead, that: Lead) -> tuple[Side, Side]:
    """All that is shown of the two, in as many questions as for one."""
    ids = (this.id, that.id)
    requests = db.session.scalars(
        select(Request)
        .where(Request.lead_id.in_(ids))
        .order_by(Request.created_at.desc(), Request.id.desc())
        .limit(4 * _SHOWN)
    ).all()
    letters = db.session.scalars(
        select(Message)
        .where(Message.lead_id.in_(ids), Message.kind != MessageKind.STAFF_ALERT)
        .order_by(Message.due_at.desc(), Message.id.desc())
        .limit(8 * _SHOWN)
    ).all()
    consents = db.session.scalars(
        select(Consent)
        .where(Consent.lead_id.in_(ids))
        .order_by(Consent.given_at.desc(), Consent.id.desc())
        .limit(8 * _SHOWN)
    ).all()
    stopped = db.session.execute(
        select(Suppression.cap_hash, Suppression.scope).where(
            Suppression.cap_hash.in_((this.cap_hash, that.cap_hash))
        )
    ).all()
    tagged = tags.tags_of(db.session(), ids)

    def side(lead: Lead) -> Side:
        asked = [one for one in requests if one.lead_id == lead.id][:_SHOWN]
        return Side(
            lead=lead,
            requests=[(one, open_answers(one)) for one in asked],
            letters=[one for one in letters if one.lead_id == lead.id][: 2 * _SHOWN],
            consents=[one for one in consents if one.lead_id == lead.id][:_SHOWN],
            stopped={scope.value for cap_hash, scope in stopped if cap_hash == lead.cap_hash},
            tags=tagged.get(lead.id, ()),
        )

    return side(this), side(that)
