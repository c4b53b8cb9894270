"""The tables of runs: what was asked, how it stands, what was posted. Times are seconds since 1970, UTC."""

import sqlalchemy as sa

metadata = sa.MetaData()

NOW: sa.ColumnElement[float] = sa.cast(sa.extract("epoch", sa.func.clock_timestamp()), sa.Double)
"""The time by Postgres' clock, where several processes compare times."""

claims = sa.Table(
    "claims",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("run", sa.Text, nullable=False, index=True),
    sa.Column("at", sa.Double, nullable=False),
    comment="Gestures that were carried out, so that one delivered again is not carried out again",
)

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("round", sa.Integer, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("surface", sa.Text, nullable=False),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("invocation", sa.Text, nullable=False),
    sa.Column("brief", sa.Text, nullable=False),
    sa.Column("thread", sa.Text),
    # What the platform calls the thread: a command given within it is about the latest run there.
    sa.Column("thread_id", sa.Text),
    # Starts of the process in which it was under way; crashes since it last got on, and those it is blamed for.
    sa.Column("boots", sa.Integer, nullable=False),
    sa.Column("stuck", sa.Integer, nullable=False),
    sa.Column("blamed", sa.Integer, nullable=False),
    sa.Column("steps_seen", sa.Integer, nullable=False),
    sa.Column("paused", sa.Boolean, nullable=False),
    sa.Column("stop_by", sa.Text),
    # The process that carries it out, where several share the database: its name, and a token of this start of it.
    sa.Column("owner", sa.Text),
    # Of the rounds that are over: results by step, and the events of the last one; what all of them consumed.
    sa.Column("steps", sa.Text),
    sa.Column("events", sa.Text),
    sa.Column("calls", sa.Integer, nullable=False),
    sa.Column("input_tokens", sa.Integer, nullable=False),
    sa.Column("output_tokens", sa.Integer, nullable=False),
    sa.Column("unmetered", sa.Integer, nullable=False),
    sa.Column("cost", sa.Double),
    sa.Column("created_at", sa.Double, nullable=False),
    # Its place in the line: a count, for clocks jump.
    sa.Column("turn", sa.Integer, nullable=False),
    sa.Column("started_at", sa.Double),
    sa.Column("ended_at", sa.Double),
    sa.Index("runs_by_status", "status", "turn"),
    sa.Index("runs_by_place", "surface", "tenant", "channel", "created_at"),
    sa.Index("runs_by_thread", "surface", "tenant", "channel", "thread_id", "created_at"),
    sa.Index("runs_by_author", "surface", "tenant", "author", "created_at"),
    sa.Index("runs_by_time", "created_at"),
    sa.Index("runs_by_turn", "turn"),
)

charges = sa.Table(
    "charges",
    metadata,
    sa.Column("run", sa.Text, primary_key=True),
    sa.Column("round", sa.Integer, primary_key=True),
    sa.Column("charged", sa.Double, nullable=False),
    sa.Column("at", sa.Double, nullable=False, index=True),
    comment="What each round counts against budgets, in US dollars",
)

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("run", sa.Text, nullable=False, index=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("ref", sa.Text),
    sa.Column("error", sa.Text),
    sa.Column("at", sa.Double, nullable=False),
    comment="Every post: sending, sent (with where it stands) or failed (with why)",
)

place_settings = sa.Table(
    "place_settings",
    metadata,
    *(sa.Column(name, sa.Text, primary_key=True) for name in ("surface", "tenant", "channel")),
    sa.Column("profile", sa.Text, nullable=False),
    sa.Column("pillars", sa.Text, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("at", sa.Double, nullable=False),
    comment="What every question in a place is given beside its topic, and who said so last",
)

feedback = sa.Table(
    "feedback",
    metadata,
    *(sa.Column(name, sa.Text, primary_key=True) for name in ("run", "part", "author")),
    sa.Column("verdict", sa.Text, nullable=False),
    sa.Column("at", sa.Double, nullable=False),
    comment="What people think of an answer or a synthesis: the newest verdict of each",
)

removals = sa.Table(
    "removals",
    metadata,
    sa.Column("run", sa.Text, primary_key=True),
    sa.Column("invocation", sa.Text, nullable=False),
    sa.Column("at", sa.Double, nullable=False),
    comment="Runs that are to go, posts and all, and who asked for that",
)

departures = sa.Table(
    "departures",
    metadata,
    *(sa.Column(name, sa.Text, primary_key=True) for name in ("surface", "tenant")),
    sa.Column("at", sa.Double, nullable=False),
    comment="Workspaces, or all below a `/`, that the bot left, until all that is kept of them until then is gone",
)

workers = sa.Table(
    "workers",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("token", sa.Text, nullable=False),
    sa.Column("plan", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("since", sa.Double, nullable=False),
    sa.Column("seen", sa.Double, nullable=False),
    # What its runs under way have spent, and what is set aside for them, in US dollars.
    sa.Column("open", sa.Double, nullable=False),
    comment="The processes that share the database: the token of each one's present start, the order of steps it knows",
)

takeovers = sa.Table(
    "takeovers",
    metadata,
    sa.Column("run", sa.Text, primary_key=True),
    sa.Column("round", sa.Integer, primary_key=True),
    sa.Column("worker", sa.Text, primary_key=True),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("at", sa.Double, primary_key=True),
    comment="Rounds that one process took over from another that was gone: which, and which did",
)

paces = sa.Table(
    "paces",
    metadata,
    sa.Column("place", sa.Text, primary_key=True),
    sa.Column("full_at", sa.Double, nullable=False),
    comment="How fast all processes together send to a place: when its bucket of tokens is full again",
)
