"""The alerts screen: what fires with its story, the other views, and what a person does about it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from appliance.observe.alerts import AlertRow, AlertsPicture, OutboxRow, RuleRow, SilenceRow, TransitionRow
from tests.tui.alert_box import AUTHOR, TERM, AlertBox
from tests.tui.driven import Driven, driven
from tests.tui.fake import NOON_US, S
from tests.tui.test_hostile import is_harmless
from tui.screens.silence import covers_of
from tui.symbols import ALPHABETS
from tui.theme import PALETTES

SIZES = [(80, 24), (120, 40), (200, 50)]
OVEN_7 = "rule=overheating device=oven-7"


async def open_alerts(ui: Driven, *keys: str) -> None:
    await ui.press("2")
    await ui.tick(1)
    if keys:
        await ui.press(*keys)
        await ui.tick(1)


@pytest.mark.parametrize("size", SIZES)
async def test_it_says_what_fires_since_when_and_why(size: tuple[int, int]) -> None:
    async with driven(size=size) as ui:
        await open_alerts(ui)
        await ui.sees("✖ FIRING", "… pending", "○ no data", "▲ error", "device=oven-7", "acked", "silenced", "flapping")
        await ui.sees("✖ FIRING for 3.2 min", "oven-7 is at", "avg(temperature)=", "11:56:50")
        assert [row.phase for row in ui.app.screen.table.rows] == ["firing"] * 4 + ["pending", "nodata", "error"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("size", SIZES)
async def test_the_value_is_drawn_over_time_with_the_line_that_it_is_compared_with(size: tuple[int, int]) -> None:
    async with driven(size=size) as ui:
        await open_alerts(ui)
        await ui.sees("avg(temperature)  ", "line at 80")
        drawn = ui.app.screen.query_one("#value").plain.splitlines()  # type: ignore[attr-defined]
        row = next(line for line in drawn if line.startswith("   80"))
        assert re.search("[⠉⠒⠤⣀]{5}", row), "a level line, wherever the values don't cross it"
        columns = ["".join(line[x] if x < len(line) else " " for line in drawn[:-1] if line is not row) for x in range(7, 30)]
        assert any(not column.strip() for column in columns), "the minute without data stays blank"


async def test_the_number_of_firing_alerts_is_on_every_screen() -> None:
    async with driven(size=(80, 24)) as ui:
        await ui.sees("✖ 4 firing")
        await ui.press("s")
        await ui.sees("✖ 4 firing")
        ui.box.alert_box.is_quiet = True
        await ui.tick(1)
        await ui.misses("firing")


async def test_the_chosen_alert_s_story_follows_the_cursor() -> None:
    async with driven() as ui:
        await open_alerts(ui, "down")
        await ui.sees(
            "acked by bob@office: on my way", "oven-2 is at 91.4", "runbook", "https://wiki.example/ovens#too-ho", "team=night shift"
        )
        assert "alert chart overheating {'device': 'oven-2'}" in ui.box.asked
        await ui.press("down")
        await ui.tick(1)
        await ui.sees("silenced by 2 until 19:00:00 by", f"{AUTHOR}: new bearing, ticket")
        await ui.press("G")
        await ui.tick(1)
        await ui.sees("no column 'good_parts'", "no values at hand")


async def test_it_asks_at_most_once_a_second_and_for_a_new_row_at_once() -> None:
    async with driven() as ui:
        await open_alerts(ui)
        asked = len(ui.box.asked)
        for _ in range(8):
            await ui.tick(0.1)
        assert [q for q in ui.box.asked[asked:] if q.startswith("alert")] == []
        await ui.press("down")
        assert [q for q in ui.box.asked[asked:] if q.startswith("alert")] == ["alert chart overheating {'device': 'oven-2'}"]
        await ui.tick(1.1)
        assert ui.box.asked[-2:] == ["alerts", "alert chart overheating {'device': 'oven-2'}"]


@pytest.mark.parametrize(
    ("steps", "seen"),
    [
        (1, ("no column 'good_parts'", "○ waiting", "vibration", "1.8 %", "of a core", "absent 60s")),
        (2, ("pending ▸ FIRING", "FIRING ▸ ok", "1 of 200", "12 ms later", "_seq 77200")),
        (3, ("● active", "device=pump-4", "new bearing, ticket 4711", "7 h", "○ over", "19:00:00")),
        (4, ("✖ dead", "▲ waiting", "in 20 s", "older than 1d: 550 mailbox unavailable", "[FIRING] vibration: pump-4 shakes")),
    ],
)
@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_the_other_views_have_their_own_table_and_story(size: tuple[int, int], steps: int, seen: tuple[str, ...]) -> None:
    async with driven(size=size) as ui:
        await open_alerts(ui, *["l"] * steps)
        await ui.sees(*seen)
        await ui.press("h")
        await ui.misses(seen[0])


async def test_a_rule_s_story_says_how_fast_alerts_are_against_their_budget() -> None:
    async with driven() as ui:
        await open_alerts(ui, "l")
        await ui.sees("From the acknowledgement · last minute", "● evaluated", "▲ handed over p50 14 ms  p99 260 ms  of 250 ms")


async def test_views_go_round_and_each_keeps_its_order_and_filter() -> None:
    async with driven() as ui:
        await open_alerts(ui, "slash")
        await ui.type("oven-")
        await ui.press("enter", "right")
        await ui.sees("◂ rules 2 ▸")
        await ui.press("greater_than_sign", "left", "left")
        await ui.sees("◂ outbox 2 ▸")
        await ui.press("l")
        await ui.sees("◂ now 4 ▸", "/oven-", "1 of 3")
        await ui.press("l")
        await ui.sees("by rule ▲")


async def test_enter_shows_the_history_of_the_rule_and_esc_goes_back() -> None:
    async with driven() as ui:
        await open_alerts(ui, "down", "down", "enter")
        await ui.sees("of vibration · Esc shows all", "◂ history ▸", "1 of 57")
        assert "alert history vibration" in ui.box.asked
        await ui.press("escape")
        await ui.tick(1)
        await ui.sees("◂ now 4 ▸", "▸ ▲ FIRING")


async def test_an_alert_is_acknowledged_and_that_is_taken_back() -> None:
    async with driven() as ui:
        await open_alerts(ui, "a")
        await ui.sees("Acknowledged: overheating device=oven-7", f"acked by {AUTHOR}")
        assert ui.box.alert_box.done == [("ack", "overheating", {"device": "oven-7"}, "", None)]
        await ui.press("A")
        await ui.sees("No longer acknowledged: overheating device=oven-7")
        await ui.misses(f"acked by {AUTHOR}")


async def test_a_silence_asks_for_how_long_and_why() -> None:
    async with driven(size=(80, 24)) as ui:
        await open_alerts(ui, "m")
        await ui.sees("Silence", f"▸ this alert {OVEN_7}", "2h", "Enter makes it")
        await ui.press("enter")
        await ui.sees("a comment is needed")
        await ui.type("new door")
        await ui.press("down", "shift+tab")
        ui.app.screen.query_one("#for").value = "soon"  # type: ignore[attr-defined]
        await ui.press("enter")
        await ui.sees("until: a number and one of")
        ui.app.screen.query_one("#for").value = "90min"  # type: ignore[attr-defined]
        await ui.press("enter")
        await ui.sees("Silenced for 90 min:")
        assert ui.box.alert_box.done[-1] == ("silence", ("rule=overheating",), "90min", "new door")
        await ui.press("l", "l", "l")
        await ui.tick(1)
        await ui.sees("◂ silences 2 ▸", "new door")


async def test_esc_gives_a_silence_up_and_keys_typed_there_do_nothing_else() -> None:
    async with driven() as ui:
        await open_alerts(ui, "m")
        await ui.press("a", "q", "s", "2", "escape")
        await ui.misses("Enter makes it")
        await ui.sees("◂ now 4 ▸")
        assert ui.box.alert_box.done == []


async def test_a_silence_ends_from_the_alert_and_from_the_list() -> None:
    async with driven() as ui:
        await open_alerts(ui, "down", "down", "M")
        await ui.sees("Silence 2 is over")
        await ui.misses("silenced by 2")
        await ui.press("M")
        await ui.sees("Choose a silenced alert, or a silence.")
        await ui.press("l", "l", "l")
        await ui.tick(1)
        await ui.press("M")
        assert ui.box.alert_box.done == [("unsilence", 2), ("unsilence", 2)]


async def test_what_is_refused_is_said_and_nothing_breaks() -> None:
    async with driven() as ui:
        await open_alerts(ui)
        ui.box.alert_box.refuse = "nothing fires of rule \x1b[31m[/]"
        await ui.press("a")
        await ui.sees("nothing fires of rule ␛[31m[/]")
        await ui.press("l", "l", "a")
        await ui.sees("Choose an alert in the view now.")


async def test_without_a_service_the_stored_state_is_shown_read_only() -> None:
    async with driven(size=(80, 24), state="offline") as ui:
        await open_alerts(ui)
        await ui.sees("stored, read-only", "device=oven-7")
        for key in ("a", "A", "m"):
            await ui.press(key)
            await ui.sees("No service runs: what is stored")
        assert ui.box.alert_box.done == []


async def test_a_box_where_nothing_fires_says_so() -> None:
    async with driven() as ui:
        ui.box.alert_box.is_quiet = True
        await open_alerts(ui)
        await ui.sees("nothing fires, nothing is pending", "◂ now ▸")
        for words in ("no rule yet: the config has no [workload.NAME]", "nothing has happened", "no silence", "no message"):
            await ui.press("l")
            await ui.tick(1)
            await ui.sees(words)


@pytest.mark.parametrize(("keys", "kept", "away"), [(("x",), "device=oven-7", "Details"), (("tab", "x"), "line at 80", "device=oven-2"),
                                                  (("tab", "tab", "x"), "team=night shift", "device=oven-2")])  # fmt: skip
async def test_each_panel_gets_the_whole_screen_and_gives_it_back(keys: tuple[str, ...], kept: str, away: str) -> None:
    async with driven(size=(80, 24)) as ui:
        await open_alerts(ui, *keys)
        await ui.sees(kept)
        await ui.misses(away)
        await ui.press("escape")
        await ui.sees("Details", "line at 80", "device=oven-2", "◂ now 4 ▸")
        await ui.press("x", "l")
        await ui.sees("◂ rules 2 ▸")


async def test_a_frozen_picture_tells_of_every_row_but_reads_no_values() -> None:
    async with driven() as ui:
        await open_alerts(ui, "space")
        asked = list(ui.box.asked)
        await ui.press("down")
        await ui.tick(2)
        await ui.sees("FROZEN", "oven-2 is at 91.4", "not read while the picture is frozen")
        assert [q for q in ui.box.asked[len(asked) :] if q.startswith("alert")] == []
        await ui.press("space")
        await ui.tick(1)
        await ui.sees("avg(temperature)  9")


async def test_a_lost_service_leaves_the_last_picture() -> None:
    async with driven() as ui:
        await open_alerts(ui)
        ui.box.lost = True
        await ui.tick(5)
        await ui.sees("NO ANSWER", "device=oven-7", "5 s old")


async def test_a_view_is_exported_with_its_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with driven() as ui:
        await open_alerts(ui, "e")
        await ui.sees("Export 7 rows")
        ui.app.screen.query_one("#path").value = "now.csv"  # type: ignore[attr-defined]
        await ui.press("enter")
        await ui.sees("Written:")
    text = (tmp_path / "now.csv").read_text()
    assert text.splitlines()[0].startswith("rule,key,phase,was,severity")
    assert "overheating,device=oven-2,firing,ok,critical" in text


@pytest.mark.parametrize(("alphabet", "theme"), list(zip(ALPHABETS, PALETTES, strict=True)))
async def test_every_alphabet_and_theme_draws_all_views(alphabet: str, theme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPLIANCE_SYMBOLS", alphabet)
    async with driven(size=(80, 24)) as ui:
        ui.app.set_palette(theme)
        await open_alerts(ui)
        for _ in range(5):
            await ui.tick(1)
            assert alphabet != "ascii" or ui.text.isascii(), ui.text
            is_harmless(ui)
            await ui.press("l")


def make_hostile(box: AlertBox, evil: str) -> None:
    """Every text of the box is ``evil``."""
    nested = {evil: evil}
    alert = AlertRow(
        rule=evil,
        key={evil: evil, "n": None},
        phase=evil,
        severity=evil,
        since_us=NOON_US,
        summary=evil,
        values=nested,
        reason=evil,
        labels=nested,
        acked_by=evil,
        ack_comment=evil,
        inhibited_by=evil,
        runbook=evil,
    )
    picture = AlertsPicture(
        at_us=NOON_US,
        alerts=(alert,),
        rules=(RuleRow(name=evil, stream=evil, condition=evil, severity=evil, state=evil, reason=evil),),
        silences=(SilenceRow(id=9, matchers=(evil,), since_us=0, until_us=2**62, author=evil, comment=evil, is_active=True),),
        outbox=(OutboxRow(id=1, channel=evil, state=evil, title=evil, created_us=0, due_us=0, error=evil),),
    )
    step = TransitionRow(id=1, rule=evil, key=nested, kind=evil, old=evil, new=evil, at_us=0, learned_us=0, values=nested, reason=evil)
    box.picture = lambda: picture  # type: ignore[method-assign]
    box.history = lambda *, limit, rule: [step]  # type: ignore[method-assign]  # noqa: ARG005 - as the protocol has it


@pytest.mark.parametrize("size", [(60, 20), (80, 24)])
async def test_hostile_texts_in_every_view_and_dialog(size: tuple[int, int]) -> None:
    evil = "\x1b[2J[/b]\u202e漢" + "x" * 300
    async with driven(size=size) as ui:
        make_hostile(ui.box.alert_box, evil)
        await open_alerts(ui)
        for _ in range(5):
            await ui.press("G")
            await ui.tick(1)
            assert "␛[2J[/b]" in ui.text
            is_harmless(ui)
            await ui.press("l")
        await ui.press("G")
        await ui.tick(1)
        await ui.press("m")
        await ui.sees("Enter makes it")
        is_harmless(ui)


def test_a_silence_may_be_about_the_alert_the_rule_or_a_value_of_its_key() -> None:
    covers = covers_of("hot", {"device": " d1", "line": None, "cell": "3"})
    assert [(c.title, c.matchers) for c in covers] == [
        ("this alert", ("rule=hot", 'device=" d1"', "cell=3")),
        ("this rule", ("rule=hot",)),
        ("every rule", ('device=" d1"',)),
        ("every rule", ("cell=3",)),
    ]
    assert [c.title for c in covers_of("hot", {})] == ["this rule"]


async def test_the_chart_of_another_alert_starts_its_axis_afresh() -> None:
    async with driven() as ui:
        await open_alerts(ui)
        chart = ui.app.screen.query_one("#value")
        first = chart._range  # type: ignore[attr-defined]
        await ui.press("down")
        await ui.tick(1)
        assert chart._range != first  # type: ignore[attr-defined]
        assert TERM in ui.text
        assert ui.clock.us > NOON_US + S
