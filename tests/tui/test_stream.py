"""One stream: reached by Enter, left by Esc, its columns chosen and its past read."""

from __future__ import annotations

from tests.tui.driven import driven


async def test_enter_opens_the_stream_and_esc_goes_back() -> None:
    async with driven() as ui:
        await ui.press("down", "enter")
        await ui.tick(1)
        await ui.sees("chiller_power", "Rate  ", "◂ value ▸", "1 of 4", "chiller-1", "Last values", "12.2M of 12.3M")
        assert {"columns chiller_power", "series chiller_power value", "latest chiller_power"} <= set(ui.box.asked)
        await ui.press("escape")
        await ui.sees("Streams", "▸ chiller_power")


async def test_left_and_right_choose_the_numeric_column() -> None:
    async with driven() as ui:
        await ui.press("down", "enter")
        await ui.tick(1)
        await ui.press("l")
        await ui.tick(1)
        await ui.sees("◂ peak ▸", "2 of 4")
        await ui.press("left", "left")
        await ui.tick(1)
        await ui.sees("◂ ok ▸", "4 of 4")


async def test_a_gap_in_the_data_stays_blank() -> None:
    async with driven() as ui:
        await ui.press("down", "enter")
        await ui.tick(1)
        await ui.sees("◂ value ▸")
        chart = ui.app.screen.query_one("#field")
        rows = [line[7:] for line in chart.plain.splitlines()[:-1]]  # type: ignore[attr-defined]
        columns = ["".join(row[x] if x < len(row) else " " for row in rows).strip() for x in range(100)]
        blank = [x for x, column in enumerate(columns) if not column]
        assert any(blank[i + 5] - blank[i] == 5 for i in range(len(blank) - 5)), "the gap of 20 s is 10 cells wide"


async def test_the_far_past_is_asked_in_sql_once() -> None:
    async with driven() as ui:
        await ui.press("down", "enter")
        await ui.tick(1)
        await ui.press(*["left_square_bracket"] * 4)
        await ui.tick(1)
        await ui.sees("15 s a bucket")
        asked = [question for question in ui.box.asked if question.startswith("query")]
        assert 'FROM "chiller_power" WHERE ts >= TIMESTAMP' in asked[-1]
        await ui.tick(2)
        assert [question for question in ui.box.asked if question.startswith("query")] == asked
        await ui.tick(60)
        assert len([question for question in ui.box.asked if question.startswith("query")]) == len(asked) + 1


async def test_a_past_that_can_t_be_read_says_why() -> None:
    async with driven(refuse="Out of Memory Error: no") as ui:
        await ui.press("down", "enter")
        await ui.tick(1)
        await ui.press(*["left_square_bracket"] * 6)
        await ui.tick(1)
        await ui.sees("Out of Memory Error: no")


async def test_a_stream_whose_last_record_is_long_ago_shows_that_time() -> None:
    async with driven() as ui:
        await ui.press("enter")  # chiller_events, silent for 90 min
        await ui.tick(1)
        await ui.sees("up to 10:30:0")


async def test_a_stream_that_is_gone_says_so() -> None:
    async with driven() as ui:
        await ui.press("down", "enter")
        await ui.tick(1)
        ui.box.names = ("room",)
        await ui.tick(1)
        await ui.sees("there is no such stream any more")
        await ui.press("escape")
        await ui.sees("▸ room")


async def test_the_last_values_sort_and_filter() -> None:
    async with driven() as ui:
        await ui.press("down", "enter")
        await ui.tick(1)
        await ui.press("slash")
        await ui.type("-3")
        await ui.press("enter")
        await ui.sees("1 of 1", "chiller-3")
        await ui.misses("chiller-4")
        await ui.press("escape")
        await ui.sees("of 8")
