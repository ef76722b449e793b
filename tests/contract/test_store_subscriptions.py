"""Subscriptions are kept whole, by connection and key."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from bridge.store.port import Store
from bridge.store.rows import Subscribed

NOW = datetime(2026, 11, 2, 9, tzinfo=UTC)
ROW = Subscribed(connection="main", key="bridge-1", flavor="classic", about="Task", types=("Task",))


def kept(store: Store, connection: str = "main") -> list[Subscribed]:
    with store.reading() as tx:
        return tx.subscribed(connection)


def save(store: Store, *rows: Subscribed) -> None:
    with store.transaction() as tx:
        tx.save_subscribed(rows)


def test_what_is_kept_comes_back_the_same(store: Store) -> None:
    full = replace(
        ROW,
        ref="Subscription/1",
        state="active",
        looked_at=NOW,
        active_at=NOW,
        ends_at=NOW + timedelta(days=30),
        counter=7,
        gap=(3, 5),
        unheard_ref="Task/1",
        unheard_at=NOW,
        missed=2,
    )

    save(store, full, replace(ROW, key="bridge-0"))

    assert kept(store) == [replace(ROW, key="bridge-0"), full]


def test_a_subscription_is_replaced_by_its_key(store: Store) -> None:
    save(store, ROW)

    save(store, replace(ROW, state="active"))

    assert [row.state for row in kept(store)] == ["active"]


def test_connections_keep_their_own(store: Store) -> None:
    save(store, ROW, replace(ROW, connection="other"))

    with store.transaction() as tx:
        tx.drop_subscribed("main", ["bridge-1", "bridge-2"])

    assert kept(store) == []
    assert kept(store, "other") == [replace(ROW, connection="other")]


def test_a_transaction_that_writes_reads_what_it_wrote(store: Store) -> None:
    with store.transaction() as tx:
        tx.save_subscribed([ROW])
        tx.save_subscribed([replace(row, gaps=row.gaps + 1) for row in tx.subscribed("main")])

    assert [row.gaps for row in kept(store)] == [1]
