"""``check``, ``update``, ``install`` and ``rollback``: what an administrator does by hand."""

from __future__ import annotations

from pathlib import Path

from engineshed_client import machine
from engineshed_client.agent import Cycle, Done, Event, connect, host_clock
from engineshed_client.agent.judging import Refusal, judge
from engineshed_client.cli import codes
from engineshed_client.cli.frame import NOT_STARTED, Frame
from engineshed_client.errors import Refused, client_boundary
from engineshed_client.fetch import read_trusted_root
from engineshed_client.journal import Journal, State
from engineshed_client.steps.beginning import begin_install, begin_rollback
from engineshed_client.steps.context import Context
from engineshed_packages import exits
from engineshed_packages.bundle import open_bundle
from engineshed_packages.errors import PackagesError
from engineshed_packages.metadata.cache import MetadataCache
from engineshed_packages.protocol import Outcome
from engineshed_packages.target import ANY, Target
from engineshed_packages.versions import Version

NO_PACKAGE = "no-package"
MAX_STEPS = 20  # releases in a row that each need the one before


def run_check(frame: Frame) -> int:
    """Is there an update? Asks the portal and judges its order; nothing is installed."""
    parts = connect(frame.open_base())
    with frame.locked(parts.context):
        answer = parts.poller.poll(State.IDLE, None)
        if answer.order is None:
            frame.output.result(
                {"available": False, "code": answer.code, "message": answer.text}, answer.text or answer.code
            )
            return codes.of_done(Done(event=Event.NOTHING, code=answer.code))
        verdict = judge(
            answer.order,
            parts.portal,
            context=parts.context,
            credentials=parts.credentials,
            installed=parts.installed.version(),
        )
    if isinstance(verdict, Refusal):
        frame.output.error(verdict.code, f"the portal's order is refused: {verdict.message}")
        return codes.of_done(Done(event=Event.REFUSED, code=verdict.code))
    target = verdict.target
    if target is None:
        do = verdict.order.do
        frame.output.result(
            {"available": False, "code": answer.code, "message": answer.text, "ordered": do},
            f"the portal orders the engine to {do}: engineshed-client update",
        )
        return exits.DONE
    frame.output.result(
        {"available": True, "version": target.version.text, "length_bytes": target.length_bytes},
        f"{target.product} {target.version} is available: engineshed-client update",
        *([target.message] if target.message else []),
    )
    return exits.UPDATE_AVAILABLE


def run_update(frame: Frame) -> int:
    """Poll and carry out what the portal orders, until it has nothing more."""
    parts = connect(frame.open_base())
    cycle = Cycle(parts)
    ended: list[Done] = []
    with frame.locked(parts.context):
        for _ in range(MAX_STEPS):
            done = cycle.run()
            if done.event is Event.ENDED:
                ended.append(done)
                frame.output.talk(f"attempt {done.attempt}: {done.outcome}{_not_started(done)}")
            elif done.event is Event.CARRIED_OUT:
                frame.output.talk(f"ordered to {done.do}: {done.outcome} {done.message}".rstrip())
            if done.outcome is not Outcome.OK:
                break
    version, code = parts.installed.version(), codes.of_done(done)
    why = done.message or done.code
    if done.event is not Event.NOTHING:  # the portal's own sentence names product and version
        why = f"{parts.context.settings.product} {version or 'not installed'}: {why}"
    frame.output.result(
        {
            "attempts": [one.attempt for one in ended],
            "outcome": None if done.outcome is None else done.outcome.value,
            "code": done.code,
            "message": done.message,
            "version": None if version is None else version.text,
            "probed": ended[-1].probed if ended else None,
        },
        why + (_not_started(ended[-1]) if ended else "") + ("" if code == exits.DONE else f" [{done.code}]"),
    )
    return code


def _not_started(done: Done) -> str:
    return NOT_STARTED if done.outcome is Outcome.OK and not done.probed else ""


def run_install(frame: Frame) -> int:
    """Install from a bundle, without a portal and without an order."""
    context = frame.open_base()
    bundle = Path(frame.arguments.bundle)
    with frame.locked(context):
        machine.recover(context)
        target = _trust_bundle(frame, context, bundle)
        if target is None:
            text = f"{bundle} holds no package to install: its metadata was verified, the newer one counts"
            frame.output.result({"attempts": [], "outcome": None, "code": NO_PACKAGE, "message": text}, text)
            return exits.DONE
        journal = begin_install(
            context,
            target,
            bundle=bundle,
            skipped="retry" if frame.arguments.retry else "refuse",
            older="allow" if frame.arguments.allow_downgrade else "refuse",
        )
        return frame.carry_out(context, journal)


def _trust_bundle(frame: Frame, context: Context, path: Path) -> Target | None:
    """Verify the bundle's metadata, keep what it adds to what is trusted, and choose its package.

    None when it was made without packages: to tell of a withdrawal, or of new keys.
    """
    root, seen = read_trusted_root(context.settings), context.seen.load()
    with client_boundary(), open_bundle(path) as bundle:
        verified = bundle.verify(
            cache=context.paths.metadata, trusted_root=root, now=host_clock(), seen=seen.metadata
        )
        target = _choose(context, verified.packages, path) if bundle.has_packages else None
        if verified.older:
            frame.output.talk("the bundle's metadata is older than what is trusted here, and adds nothing")
            return target
        MetadataCache(context.paths.metadata).keep(verified.view.files)
    context.seen.save(seen.with_view(verified.view, context.settings.product))
    return target


def _choose(context: Context, packages: tuple[Target, ...], bundle: Path) -> Target:
    """The newest package for this host; the one made for its platform goes before the one for any."""
    settings = context.settings
    own = [one for one in packages if one.product == settings.product and one.fits(settings.platform)]
    if not own:
        held = ", ".join(sorted(f"{one.product} {one.version} for {one.platform}" for one in packages))
        wanted = f"{settings.product} for {settings.platform}"
        raise Refused("other-product", f"{bundle} holds {held or 'no package'}, expected one of {wanted}")
    return max(own, key=lambda one: (one.version, one.platform != ANY))


def run_rollback(frame: Frame) -> int:
    """Return to a kept previous version, with the customer's live files."""
    context = frame.open_base()
    with frame.locked(context):
        machine.recover(context)
        journal = begin_rollback(context, _version_of(frame.arguments.version))
        code = frame.carry_out(context, journal)
        if code == exits.DONE:
            _tell_skipped(frame, context, journal)
        return code


def _version_of(text: str | None) -> Version | None:
    try:
        return None if text is None else Version.parse(text)
    except PackagesError as err:
        raise Refused(err.code, err.message) from err


def _tell_skipped(frame: Frame, context: Context, journal: Journal) -> None:
    """Say that the release that was left is not offered again by itself, when that is so."""
    left = None if journal.origin is None else journal.origin.version
    if left is not None and any(one.version == left for one in context.seen.load().skipped):
        frame.output.talk(f"{left} is not installed again until an order says retry")
