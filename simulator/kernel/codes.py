"""Integer codes shared by the compiled kernel and everything that reads its logs.

Plain module-level integers, because a compiled function freezes them; `simulator.types` gives the same
values names for Python. A code never changes its meaning: stored runs and journals hold these numbers.
"""

from __future__ import annotations

SCHEMA_VERSION = 1

# Sides
LONG = 1
SHORT = -1

# How a signal enters
ENTRY_OPEN = 0  # market, at the next bar's open
ENTRY_CLOSE = 1  # market, at this bar's close
ENTRY_LIMIT = 2
ENTRY_STOP = 3
ENTRY_STOP_LIMIT = 4
ENTRY_MOC = 5  # market on the next bar's close
ENTRY_FIXED_OPEN = 6  # at a given price, at the next bar's open: used to hold entries fixed in the interval
ENTRY_FIXED_BAR = 7  # the same, inside the next bar
ENTRY_FIXED_CLOSE = 8  # the same, at the next bar's close

# Time in force
TIF_GTC = 0
TIF_DAY = 1
TIF_GTD = 2

# Order states
ORDER_PENDING = 0
ORDER_SUBMITTED = 1
ORDER_PARTIALLY_FILLED = 2
ORDER_FILLED = 3
ORDER_CANCELLED = 4
ORDER_REJECTED = 5
ORDER_EXPIRED = 6

# What an order or a fill is for
KIND_ENTRY = 0
KIND_ADD = 1
KIND_STOP = 2
KIND_TRAIL = 3
KIND_TARGET = 4
KIND_EXIT = 5  # market exits: time, signal, halts, manual, forced
KIND_ACCOUNT = 6  # halts and releases, cash movements, corporate actions

# Why a position ended
EXIT_NONE = 0
EXIT_STOP = 1
EXIT_TARGET = 2
EXIT_TARGET2 = 3
EXIT_TARGET3 = 4
EXIT_TRAIL = 5
EXIT_BREAKEVEN = 6
EXIT_TIME = 7
EXIT_SIGNAL = 8
EXIT_SCALE_OUT = 9
EXIT_DAILY_LOSS = 10
EXIT_KILL_SWITCH = 11
EXIT_DTE = 12
EXIT_PROFIT_TARGET = 13
EXIT_EXPIRY = 14
EXIT_ASSIGNMENT = 15
EXIT_ROLL = 16
EXIT_MANUAL = 17
EXIT_END_OF_DATA = 18
EXIT_DRAWDOWN = 19
EXIT_DELISTED = 20
EXIT_DELTA = 21
EXIT_UNCOVERED = 22

# Why a verdict or an order event came out as it did
REASON_ADMITTED = 0
REASON_SHRUNK = 1
REASON_KILLED = 2
REASON_DAILY_LOSS_HALT = 3
REASON_DRAWDOWN_HALT = 4
REASON_REDUCING = 5
REASON_NO_BAR = 6
REASON_SAME_SIDE_OPEN = 7
REASON_OPPOSITE_SIDE_OPEN = 8
REASON_EXIT_ON_THIS_BAR = 9
REASON_NO_STOP = 10
REASON_INVALID_STOP = 11
REASON_INVALID_TARGET = 12
REASON_MIN_STRENGTH = 13
REASON_MIN_SCORE = 14
REASON_MIN_REWARD_RISK = 15
REASON_MAX_POSITIONS = 16
REASON_SYMBOL_CAP = 17
REASON_STRATEGY_CAP = 18
REASON_COOLDOWN = 19
REASON_CORRELATION = 20
REASON_CORRELATION_UNKNOWN = 21
REASON_RISK_PER_TRADE = 22
REASON_HEAT = 23
REASON_SECTOR = 24
REASON_POSITION_SIZE = 25
REASON_GROSS_EXPOSURE = 26
REASON_NET_EXPOSURE = 27
REASON_BUYING_POWER = 28
REASON_MIN_QUANTITY = 29
REASON_CAPACITY = 30
REASON_NOTHING_TO_CLOSE = 31
REASON_CLOSE_ACCEPTED = 32
REASON_INVALID_QUANTITY = 33
REASON_INVALID_PRICE = 34
REASON_DELISTED = 35
REASON_NO_EQUITY = 36
REASON_NO_QUOTE = 37
REASON_MIN_CREDIT = 38
REASON_NOT_COVERED = 39
REASON_NET_DELTA = 40
REASON_GAMMA = 41
REASON_THETA = 42
REASON_VEGA = 43
# order events only
REASON_NONE = 50
REASON_GAPPED_STOP = 51
REASON_TIF_EXPIRED = 52
REASON_OCO = 53
REASON_SIBLING_FILLED = 54
REASON_HALT = 56
REASON_FILL_BUYING_POWER = 57
REASON_VOLUME_CAP = 58
REASON_TRIGGERED = 59
REASON_COMMAND = 62
REASON_SPLIT = 63
REASON_DIVIDEND = 64
REASON_SESSION_RELEASE = 65
REASON_ARMED = 66
REASON_DEPOSIT = 67
REASON_STOP_EXIT_TOOK_PRECEDENCE = 69
REASON_REVERSED = 70
REASON_ASSIGNED = 71
REASON_PIN_RISK = 72

# Halt states of the account
STATE_ACTIVE = 0
STATE_REDUCING = 1
STATE_HALTED = 2

# Conventions
COLLISION_STOP_FIRST = 0
COLLISION_TARGET_FIRST = 1
COLLISION_PATH = 2
TARGET_GAP_TARGET = 0
TARGET_GAP_STOP = 1
TRAIL_PREVIOUS = 0
TRAIL_RAISE_FIRST = 1
TRAIL_PATH = 2
TRAIL_CLOSE_ONLY = 3
BOTH_TIGHTER = 0
BOTH_TRAIL_REPLACES = 1
ENTRY_BAR_ALLOWED = 0
ENTRY_BAR_NOT_ALLOWED = 1
EXIT_BAR_TAKEN = 0
EXIT_BAR_IGNORED = 1
SAME_SIDE_IGNORE = 0
SAME_SIDE_ADD = 1
OPPOSITE_IGNORE = 0
OPPOSITE_CLOSE = 1
OPPOSITE_REVERSE = 2
STOP_GAP_OPEN = 0
STOP_GAP_STOP_PRICE = 1
LIMIT_GAP_OPEN = 0
LIMIT_GAP_LIMIT = 1

# Policies of the risk manager
POLICY_SHRINK = 0
POLICY_REJECT = 1
UNKNOWN_ADMIT = 0
UNKNOWN_REJECT = 1
RELEASE_NEXT_SESSION = 0
RELEASE_MANUAL = 1
BREACH_HALT = 0
BREACH_FLATTEN = 1
HEAT_FROM_ENTRY = 0
HEAT_FROM_MARK = 1

# Rules whose input was absent, as bits of a verdict's `absent` field
ABSENT_STRENGTH = 1
ABSENT_SCORE = 2
ABSENT_TARGET = 4
ABSENT_STOP = 8
ABSENT_CORRELATION = 16

# Commands (step phase 0)
COMMAND_CLOSE = 1  # close a symbol's positions at the open, or at a given price
COMMAND_CLOSE_ALL = 2
COMMAND_KILL = 3
COMMAND_REDUCE = 4
COMMAND_ARM = 5
COMMAND_DEPOSIT = 6
COMMAND_CANCEL = 7  # cancel a symbol's working entries

# Corporate actions
ACTION_SPLIT = 1  # value: new shares for one old share
ACTION_DIVIDEND = 2  # value: cash per share
ACTION_DELIST = 3  # value: last price paid, NaN: the last close
ACTION_EARNINGS = 4  # a date only

# Price rule applied to a fill
PRICE_OPEN = 0
PRICE_STOP = 1
PRICE_LIMIT = 2
PRICE_CLOSE = 3
PRICE_GIVEN = 4
PRICE_OPEN_GAP = 5  # the open, because the price gapped through the order
PRICE_QUOTE = 6  # from the quotes of a package's legs
PRICE_MODEL = 7  # the same, where the quotes are modelled

# Where a fill comes from, and how good its price is
SOURCE_SIMULATED = 0
SOURCE_MANUAL = 1
SOURCE_BROKER = 2
GRADE_QUOTED = 0
GRADE_BAR = 1
GRADE_MODELLED = 2
GRADE_USER = 3

# Answers of the step
STEP_OK = 0
STEP_LOG_FULL = 1
STEP_BAD_BAR = 2  # went on; at least one symbol's bar broke a rule and counted as missing
STEP_TIME_WENT_BACK = 3

# Instrument kinds
INSTRUMENT_STOCK = 0
INSTRUMENT_OPTION = 1
INSTRUMENT_INDEX = 2

# Part of the bar in which an entry filled
AT_OPEN = 0
INSIDE = 1
AT_CLOSE = 2

# Flags, named because a literal would make numba compile a function once more
NO = 0
YES = 1
NONE = -1

# Which of the rarer columns a signal has
EXTRA_TARGETS = 1  # more than one target, a fraction, or a scale-out
EXTRA_ADDS = 2
