"""The table that draws what is seen, driven alone."""

import asyncio

from textual.app import App

from orchestrator.cli.watching.looks import DARK
from orchestrator.cli.watching.rows import Rows, Title

N = 100_000


class Alone(App):
    """A table of many rows, each asked for when it is drawn."""

    def __init__(self):
        super().__init__()
        self.asked = []
        self.heard = []

    def compose(self):
        yield Rows(nothing="nothing", id="rows")

    def on_mount(self):
        titles = [Title(text="n", width=6, is_number=True), Title(text="name", width=8), Title(text="more", width=60)]
        self.query_one(Rows).fill(titles, N, self.row, DARK, cursor=0)
        self.query_one(Rows).focus()

    def row(self, place):
        self.asked.append(place)
        return [(str(place), ""), (f"row number {place}", "muted"), ("x" * 60, "")]

    def on_rows_moved(self):
        self.heard.append(self.query_one(Rows).cursor)

    def on_rows_chosen(self):
        self.heard.append("chosen")

    def on_rows_headed(self, event):
        self.heard.append(f"head {event.column}")


def drive(scenario, size=(40, 10)):
    async def run():
        app = Alone()
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await scenario(app, pilot)

    asyncio.run(run())


def test_only_rows_that_are_seen_are_drawn():
    """Of a hundred thousand, at the beginning, at the end and in between; what is too long is cut."""

    async def scenario(app, pilot):
        assert set(app.asked) == set(range(9))
        rows = app.query_one(Rows)
        assert rows.render_line(1).text == "     0  row num…  xxxxxxxxxxxxxxxxxxxxxx"
        app.asked.clear()
        await pilot.press("G")
        assert set(app.asked) <= {*range(9), *range(N - 9, N)}
        assert rows.render_line(9).text.startswith(" 99999  row")
        await pilot.press("pageup", "k", "g", "down")
        assert app.heard == [N - 1, N - 9, N - 10, 0, 1]

    drive(scenario)


def test_the_first_column_stays():
    """The others are scrolled by columns, to the right and back."""

    async def scenario(app, pilot):
        rows = app.query_one(Rows)
        await pilot.press("right")
        assert rows.render_line(1).text.startswith("     0  xxxx")
        await pilot.press("left", "left")
        assert rows.render_line(1).text.startswith("     0  row")

    drive(scenario)


def test_the_mouse():
    """A click moves the cursor, one on the cursor chooses, one on a head names its column."""

    async def scenario(app, pilot):
        await pilot.click(Rows, offset=(10, 4))
        await pilot.click(Rows, offset=(10, 4))
        await pilot.click(Rows, offset=(10, 0))
        await pilot.click(Rows, offset=(2, 0))
        await pilot.pause()
        assert app.heard == [3, "chosen", "head 1", "head 0"]

    drive(scenario)


def test_what_is_there_is_kept_in_sight():
    """Fewer rows move the cursor to the last; none say so."""

    async def scenario(app, pilot):
        rows = app.query_one(Rows)
        await pilot.press("G")
        titles = [Title(text="n", width=6)]
        rows.fill(titles, 3, lambda place: [(str(place), "")], DARK, cursor=rows.cursor)
        await pilot.pause()
        assert (rows.cursor, rows.render_line(1).text.strip()) == (2, "0")
        rows.fill(titles, 0, lambda place: [(str(place), "")], DARK, cursor=rows.cursor)
        await pilot.pause()
        assert rows.render_line(1).text.strip() == "nothing"
        await pilot.press("enter", "j")
        assert "chosen" not in app.heard

    drive(scenario)
