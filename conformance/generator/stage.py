"""What a story is told with: its people, its clock and short ways to write its steps."""

from __future__ import annotations

from conformance.generator.elements import Json, concept, moment
from conformance.generator.people import Cast
from conformance.generator.story import Change, Put, Step, Story, Timeline, Write


class Stage:
    """One patient, the staff, and the steps told so far."""

    def __init__(self, number: int, patient: Json, staff: Cast, timeline: Timeline) -> None:
        self.patient = patient
        self.staff = staff
        self.timeline = timeline
        self._key = f"{staff.prefix}-story-{number:03d}"
        self._steps: list[Step] = []
        self._known: list[Json] = [*staff.resources(), patient]

    def id(self, name: str) -> str:
        """Return the id of the story's resource *name*."""
        return f"{self._key}-{name}"

    def when(self, day: float) -> str:
        """Return story day *day* as a FHIR dateTime."""
        return moment(self.timeline.at(day))

    def tell(self, day: float, says: str, *writes: Write | Json) -> None:
        """Add a step on story day *day*; a bare resource is stored, and people come with the first step."""
        stored = [write if isinstance(write, Put | Change) else _put(write) for write in (*self._known, *writes)]
        self._known = []
        self._steps.append(Step(self.timeline.at(day), says, tuple(stored)))

    def also_known(self, resource: Json) -> Json:
        """Bring another person or team into the story, before its first step."""
        self._known.append(resource)
        return resource

    def move(self, resource: Json, day: float, **elements: object) -> Change:
        """Return a change of *resource*; a Task's ``lastModified`` moves along."""
        if resource["resourceType"] == "Task":
            elements.setdefault("lastModified", self.when(day))
        return Change(f"{resource['resourceType']}/{resource['id']}", elements)

    def story(self, name: str, title: str) -> Story:
        """Return what was told."""
        return Story(name, title, f"Patient/{self.patient['id']}", tuple(self._steps))


def _put(resource: object) -> Put:
    assert isinstance(resource, dict)
    return Put(resource)


def because(text: str) -> Json:
    """Return a reason in words."""
    return concept(text)
