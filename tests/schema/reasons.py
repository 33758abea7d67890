"""Why a few verdicts are not what really happened, by database."""

from schema.sql_before import ENUM, FUNCTION, PARTS, READER, TRIGGER, UNUSED, VIEW

CODE = "what a trigger's code does, the catalog does not tell: it is named"
UNIQUE_TOGETHER = "that the columns of a unique constraint cannot be equal otherwise is not proved"
NULL_PASSES = "that no value of the other column makes the check false is not proved"
CHECK_PASSES = "that all that the release writes passes an expression is not proved"
