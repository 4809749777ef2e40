"""A host whose clock is wrong, by accident or because somebody turned it."""

from __future__ import annotations

from tests.attacks.stage import Engine, Stage
from tests.attacks.wrong_clock import clock_at


def test_a_clock_ahead_of_the_vendors_signatures_installs_nothing_and_says_so(engine: Engine) -> None:
    engine.environment.update(clock_at("@2099-01-01 00:00:00"))
    done = engine.update()
    for name in clock_at("+0"):
        engine.environment.pop(name)
    engine.check_unharmed(done, code="metadata-expired", exit_code=65)
    assert "check this machine's clock" in done.said


def test_a_clock_behind_does_no_harm(stage: Stage) -> None:
    """By it no order was given yet; what the vendor signed last says how late it is at least."""
    with stage.engine() as engine:
        engine.environment.update(clock_at("@1970-01-02 00:00:00"))
        done = engine.update()
        assert (done.exit_code, engine.version) == (0, "1.1.0"), done.said
        assert engine.log("END")[-1].startswith("1970-01-02T")
