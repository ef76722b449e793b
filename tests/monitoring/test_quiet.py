"""What is no fault raises no alert: a start, an upgrade, what was planned, what is caught up with."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from bridge.sync.restored import mark_restored
from tests.monitoring.staged import Staged
from tests.monitoring.test_alerts import RULES, as_test, promtool, run_promtool
from tests.unit.sync.world import order


def test_a_sweep_that_comes_before_the_poll_repairs_nothing() -> None:
    """Where much changes, there is always something that the poll is about to read."""
    world = Staged()
    world.pass_steps(3)
    world.ehr.put(order(status="on-hold"))
    world.clock.advance(minutes=1)

    swept = world.bridge.compare()

    assert swept.repaired == 1
    assert 'bridge_sweep_repairs_total{connection="main"} 0.0' in world.web.get("/metrics").text


def _start(world: Staged) -> None:
    world.pass_steps(60)


def _upgrade(world: Staged) -> None:
    """The only replica is replaced."""
    world.pass_steps(10)
    world.answering = False
    world.pass_steps(1)
    world.answering = True
    world.pass_steps(20)


def _planned_downtime(world: Staged) -> None:
    """``bridge pause``, the EHR is down for ten hours, ``bridge resume``; meanwhile people work on."""
    world.pass_steps(4)
    world.pause()
    world.away = True
    world.pass_steps(60)
    world.away = False
    world.ehr.put(order("o2"))
    world.resume()
    world.pass_steps(6)


def _paused_while_away(world: Staged) -> None:
    """The EHR said too late that it goes down: it counts as away already."""
    world.pass_steps(4)
    world.away = True
    world.pass_steps(4)
    world.pause()
    world.pass_steps(60)
    world.away = False
    world.resume()
    world.pass_steps(10)


def _a_type_paused(world: Staged) -> None:
    """One type is left alone because it makes trouble; its notifications are kept."""
    world.pass_steps(4)
    world.refuses = lambda sent: "Task" in sent.url.path
    world.pass_steps(1)
    world.pause("Task")
    with world.store.transaction() as tx:
        tx.note_hints("main", ["Task/t1"], world.now(), 1)
    world.pass_steps(60)
    world.refuses = lambda _: False
    world.resume("Task")
    world.pass_steps(6)


def _restore(world: Staged) -> None:
    world.pass_steps(12)
    with world.store.transaction() as tx:
        mark_restored(tx, ["main"], world.now())
    world.pass_steps(30)


@pytest.mark.parametrize(
    ("play", "minutes"),
    [
        (_start, 1),
        (_upgrade, 1),
        (_planned_downtime, 10),
        (_paused_while_away, 1),
        (_a_type_paused, 5),
        (_restore, 1),
    ],
)
def test_what_is_planned_raises_no_alert(play: Callable[[Staged], None], minutes: int, tmp_path: Path) -> None:
    promtool()
    world = Staged(minutes)

    play(world)

    test = as_test("quiet", world.tape, {})
    lasted = world.tape.steps * minutes
    test["promql_expr_test"] = [_fired(lasted)]
    _evaluate(test, tmp_path)


def test_a_clock_that_is_half_an_hour_off_makes_no_data_stale(tmp_path: Path) -> None:
    promtool()
    world = Staged()
    world.skew = timedelta(minutes=30)

    world.pass_steps(40)

    test = as_test("a clock that is off", world.tape, {})
    test["promql_expr_test"] = [_fired(world.tape.steps, "BridgeClockSkew")]
    _evaluate(test, tmp_path)


FIGURES = {
    "a first read that takes an hour": {
        'bridge_lag_seconds{connection="main",type="Task"}': "0+60x60 5x20",
        'bridge_lag_seconds{connection="main",type="ServiceRequest"}': "5x80",
        'bridge_crawl_resources{connection="main",type="Task"}': "0+900x60 0x20",
        'bridge_crawl_seconds{connection="main",type="Task"}': "0+60x60 0x20",
    },
    "a type that waits for another one to be caught up with": {
        'bridge_lag_seconds{connection="main",type="ServiceRequest"}': "40000+60x40 5x20",
        'bridge_crawl_resources{connection="main",type="ServiceRequest"}': "0x60",
        'bridge_crawl_seconds{connection="main",type="ServiceRequest"}': "0x60",
        'bridge_crawl_resources{connection="main",type="Task"}': "0+900x30 0x30",
        'bridge_crawl_seconds{connection="main",type="Task"}': "0+60x30 0x30",
    },
    "a backup that knew of fewer repairs": {
        'bridge_sweep_repairs_total{connection="main"}': "5x10 3x120",
    },
    "a large disk with plenty of room, which is little of it": {
        "bridge_disk_free_bytes": "100000000000x20",
        "bridge_disk_size_bytes": "4000000000000x20",
    },
}


@pytest.mark.parametrize("name", FIGURES)
def test_what_is_as_it_should_be_raises_no_alert(name: str, tmp_path: Path) -> None:
    promtool()
    series = [{"series": one, "values": values} for one, values in FIGURES[name].items()]
    _evaluate({"interval": "1m", "input_series": series, "promql_expr_test": [_fired(130)]}, tmp_path)


@pytest.mark.parametrize(
    ("crawled", "lasted", "fires"),
    [
        ("0+900x60", "0+60x60", ()),
        ("900x60", "0+60x60", ("BridgeDataStale",)),
        ("0+900x60", "14400+60x60", ("BridgeDataStale",)),
    ],
    ids=["gets on", "stands still", "for four hours"],
)
def test_old_data_is_no_news_only_while_a_read_gets_on(
    crawled: str, lasted: str, fires: tuple[str, ...], tmp_path: Path
) -> None:
    promtool()
    series = {"bridge_lag_seconds": "1000+60x60", "bridge_crawl_resources": crawled, "bridge_crawl_seconds": lasted}
    _evaluate(
        {
            "interval": "1m",
            "input_series": [
                {"series": f'{name}{{connection="main",type="Task"}}', "values": values}
                for name, values in series.items()
            ],
            "promql_expr_test": [_fired(50, *fires)],
        },
        tmp_path,
    )


def _fired(minutes: int, *alerts: str) -> dict[str, object]:
    """Expect that these alerts, and no others, were told of in so many *minutes*."""
    told = f'count by (alertname) (count_over_time(ALERTS{{alertstate="firing"}}[{minutes}m]))'
    expected = [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in alerts]
    return {"expr": told, "eval_time": f"{minutes - 1}m", "exp_samples": expected}


def _evaluate(test: object, folder: Path) -> None:
    file = folder / "quiet.yml"
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [test]}))
    run_promtool("test", "rules", str(file))
