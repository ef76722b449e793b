"""The bugs to plant: each takes one safety line away."""

from __future__ import annotations

from dataclasses import dataclass

LINE = ("tests/unit/sync", "tests/simulation")
STORE = ("tests/contract/test_store_outbox.py", "tests/contract/test_store_hints.py", "tests/unit/sync")
CLIENT = ("tests/contract/test_fhir_client.py", "tests/contract/test_fhir_client_answers.py", "tests/unit/sync")
SIMULATION = ("tests/simulation",)


@dataclass(frozen=True)
class Bug:
    """One edit: the only place in *file* where *old* stands becomes *new*; *suites* should notice."""

    name: str
    file: str
    old: str
    new: str
    suites: tuple[str, ...] = LINE


BUGS = (
    Bug(
        "the cursor moves in a transaction of its own, before the page is stored",
        "bridge/sync/ingest.py",
        "    with store.transaction() as tx:\n        tx.lock(line.name)\n        catch_up(",
        "    if page.cursor is not None:\n        with store.transaction() as tx:\n"
        "            tx.save_cursor(page.cursor)\n"
        "    with store.transaction() as tx:\n        tx.lock(line.name)\n        catch_up(",
        SIMULATION,
    ),
    Bug("a poll asks for gt instead of ge", "bridge/sync/poll.py", 'f"ge{format_instant', 'f"gt{format_instant'),
    Bug(
        "reads do not say no-cache",
        "bridge/fhir/client.py",
        'headers = {"Cache-Control": "no-cache"}',
        "headers: dict[str, str] = {}",
        CLIENT,
    ),
    Bug(
        "our own writes are taken for news when they come back",
        "bridge/sync/ingest.py",
        "isinstance(verdict, Snapshot) and is_own(verdict.identifiers)",
        "isinstance(verdict, Snapshot) and is_own(())",
    ),
    Bug(
        "updates carry no If-Match",
        "bridge/fhir/client.py",
        """headers = {"If-Match": f'W/"{if_match}"'} if if_match is not None else {}""",
        "headers: dict[str, str] = {}",
        CLIENT,
    ),
    Bug(
        "the patient is not compared at the moment of sending",
        "bridge/sync/whose.py",
        "if verdict.patient is not None and stated != case.patient_ref and not",
        "if False and stated != case.patient_ref and not",
    ),
    Bug(
        "nothing is looked for before a create is sent again",
        "bridge/sync/hand.py",
        "        if how is How.PUT_OWN_ID:\n            return self.read(ref)\n        for known in written:",
        "        if how:\n            return None\n        for known in written:",
    ),
    Bug(
        "the watermark goes up to the server's own clock",
        "bridge/sync/poll.py",
        "            return cursor.started_at - self._line.lag",
        "            return cursor.started_at",
    ),
    Bug(
        "a poll does not begin before its watermark",
        "bridge/sync/poll.py",
        "return self._cursor.watermark - overlap",
        "return self._cursor.watermark",
    ),
    Bug(
        "a version that is known is taken in again",
        "bridge/sync/ingest.py",
        "return [version for key, version in unique.items() if key not in known]",
        "return list(unique.values()) if known is not None else []",
    ),
    Bug(
        "a resource is gone at the first 404",
        "bridge/sync/sweep.py",
        "_mark(store, line, row, replace(row, missed_at=looked_at), now)",
        "_mark(store, line, row, replace(row, gone_at=now), now)",
    ),
    Bug(
        "a second 404 may come at once",
        "bridge/sync/sweep.py",
        "CONFIRM_AFTER = timedelta(minutes=5)",
        "CONFIRM_AFTER = timedelta(0)",
    ),
    Bug(
        "what is not found in a search is not read directly",
        "bridge/sync/sweep.py",
        "            answer = _read_directly(client, row.ref)",
        "            answer: SourceVersion | Absence = Absence.GONE",
    ),
    Bug(
        "an older version takes the place of a newer one",
        "bridge/cases/reconcile.py",
        "return _age(snapshot) > _age(than)",
        "return _age(snapshot) != _age(than)",
        ("tests/stateful", "tests/unit/cases", "tests/simulation"),
    ),
    Bug(
        "who was overtaken settles all the same",
        "bridge/store/outbox_rules.py",
        "return row.state is IntentState.SENDING and row.token == how.token",
        "return row.state is IntentState.SENDING",
        STORE,
    ),
    Bug(
        "two intents of one case are sent at once",
        "bridge/store/outbox_rules.py",
        "firsts.setdefault(row.intent.case_id, row)",
        "firsts.setdefault(str(row.id), row)",
        STORE,
    ),
    Bug(
        "a hint is forgotten before its resource was read",
        "bridge/sync/notify.py",
        "        report = _answer_some(",
        "        with store.transaction() as tx:\n            tx.drop_hints(line.name, hints)\n"
        "        report = _answer_some(",
    ),
    Bug(
        "a sender is told that its hint is kept before it is",
        "bridge/sync/notify.py",
        "        return commit.kept\n",
        "        kept: Future[None] = Future()\n        kept.set_result(None)\n        return kept\n",
    ),
    Bug(
        "next links are followed anywhere",
        "bridge/fhir/client.py",
        "if absolute is None or not inside_base(absolute, self._base):",
        "if absolute is None:",
        CLIENT,
    ),
    Bug(
        "a filter that the server ignored is believed",
        "bridge/fhir/client.py",
        '        refuse_ignored(page, f"search of {kind}", params, critical)\n',
        "",
        CLIENT,
    ),
    Bug(
        "an error inside a 200 is no error",
        "bridge/fhir/client.py",
        "            if outcome.is_error:",
        "            if outcome is None:",
        CLIENT,
    ),
    Bug(
        "creates are not conditional",
        "bridge/fhir/client.py",
        'headers = {"If-None-Exist": if_none_exist} if if_none_exist is not None else {}',
        "headers: dict[str, str] = {}",
        CLIENT,
    ),
    Bug(
        "an unanswered write is given up",
        "bridge/fhir/retry.py",
        "    OutcomeUnknown: Then.LOOK,",
        "    OutcomeUnknown: Then.PARK,",
    ),
    Bug(
        "what was written is not read before it is searched for",
        "bridge/sync/hand.py",
        "        for known in written:",
        "        for known in ():",
    ),
    Bug(
        "the same is written again",
        "bridge/sync/write.py",
        "            if same(current, merged):\n                continue\n",
        "",
    ),
    Bug(
        "a modifier extension that nobody knows is read over",
        "bridge/mappers/modifiers.py",
        "    if resource.modifierExtension:\n        _refuse(resource, where)",
        "    if False:\n        _refuse(resource, where)",
        ("tests/unit/mappers", "tests/simulation"),
    ),
    Bug(
        "where not one of many is found, all are believed to be gone",
        "bridge/sync/sweep.py",
        "        if len(rows) >= MANY and kind not in seen.there:",
        "        if len(rows) < 0 and kind not in seen.there:",
    ),
    Bug(
        "a first poll that failed forgets where to begin",
        "bridge/sync/taking.py",
        "watermark=stored.watermark or since",
        "watermark=stored.watermark",
        ("tests/unit/sync/test_connector.py", *SIMULATION),
    ),
    Bug(
        "nobody looks back further after a standstill",
        "bridge/sync/poll.py",
        "checked_at is not None and self._taking.clock() - checked_at >= AWAY",
        "False",
        ("tests/unit/sync/test_lookback.py", *SIMULATION),
    ),
    Bug(
        "what cannot be polled keeps Subscriptions from being made",
        "bridge/sync/subscribe.py",
        "begun.union(self._unreadable())",
        "begun",
        ("tests/unit/sync/test_subscribe.py", *SIMULATION),
    ),
    Bug(
        "a pause is not obeyed",
        "bridge/sync/pauses.py",
        "if row.type in (None, type_):",
        "if False:",
        SIMULATION,
    ),
    Bug(
        "anybody may ring",
        "bridge/web/gate.py",
        "return self.signing_key is None or",
        "return True or",
        SIMULATION,
    ),
    Bug(
        "a record that was merged is not followed",
        "bridge/cases/people.py",
        "    way = [ref]\n",
        "    way = [ref]\n    return ref\n",
        ("tests/unit/sync/test_patients.py", *SIMULATION),
    ),
)
