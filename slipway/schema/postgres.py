"""Read Postgres' catalog. Each table has a mark, a sum over the catalog's rows on it, so that only what has changed is
read in full: thousands of tables would take longer than the migrations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from .catalog import ANOTHER, Column, Constraint, Table, named

KINDS = {"r": "table", "p": "table", "f": "table", "v": "view", "m": "view", "S": "sequence"}
CONSTRAINTS = {"c": "check", "f": "foreign key", "x": "exclude"}
RELATIONS = """SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid >= 16384 AND c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S') AND n.nspname !~ '^(pg_|information_schema$)'
AND c.relname != 'django_migrations'"""
# Rows of the catalog that tell of a table: the catalog, the table's id, and which rows.
ROWS = (
    ("pg_class", "r.oid", ""),
    ("pg_attribute", "r.attrelid", "AND attnum > 0"),
    ("pg_attrdef", "r.adrelid", ""),
    ("pg_constraint", "r.conrelid", ""),
    ("pg_index", "r.indrelid", ""),
    ("pg_trigger", "r.tgrelid", ""),
    ("pg_rewrite", "r.ev_class", ""),
    ("pg_policy", "r.polrelid", ""),
    ("pg_inherits", "r.inhrelid", ""),
    ("pg_sequence", "r.seqrelid", ""),
)
# And those that many tables may share.
SHARED = (
    ("pg_enum", "true"),
    ("pg_type", "typtype = 'd' AND oid >= 16384"),
    ("pg_constraint", "contypid >= 16384"),
    ("pg_proc", "oid IN (SELECT tgfoid FROM pg_trigger WHERE NOT tgisinternal)"),
)
# A transaction's number is greater than that of any before: where as many rows come as go, the sum grows.
SUM = "count(*)::text || ' ' || coalesce(sum({}), 0)"
# What has a smaller id is the system's own.
ROW = "SELECT {id}, r.xmin::text::bigint FROM {catalog} r WHERE {id} >= 16384 {condition}"
MARKS = (
    f"SELECT id::bigint, concat_ws(' ', {SUM.format('mark')}, "
    + ", ".join(f"(SELECT {SUM.format('xmin::text::bigint')} FROM {name} WHERE {rows})" for name, rows in SHARED)
    + ") FROM ("
    + " UNION ALL ".join(ROW.format(catalog=catalog, id=id, condition=condition) for catalog, id, condition in ROWS)
    + " UNION ALL SELECT c.oid, n.xmin::text::bigint FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid"
    + f") rows(id, mark) WHERE id IN ({RELATIONS}) GROUP BY id"
)
# Names as a new session knows them, whatever search_path and temporary tables a migration has left in this one.
PATH = "SELECT quote_literal(reset_val) FROM pg_settings WHERE name = 'search_path'"
TABLE_NAMES = f"""WITH path AS (SELECT replace(btrim(part, ' "'), '$user', current_user::text) AS name, place
    FROM unnest(string_to_array({{path}}, ',')) WITH ORDINALITY parts(part, place))
SELECT CASE WHEN p.place = min(p.place) OVER (PARTITION BY c.relname) THEN '' ELSE n.nspname || '.' END || c.relname,
c.oid::bigint FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN path p ON p.name = n.nspname
WHERE c.oid IN ({RELATIONS})"""
# An identity's sequence needs no privilege.
RIGHTS = """CASE WHEN NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.classid = 'pg_class'::regclass
    AND c.relkind = 'S' AND d.deptype = 'i')
THEN coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's'::"char" ELSE 'r' END, c.relowner)) END"""
GRANTED = f"""CASE WHEN g.grantee = 0 THEN 'PUBLIC' WHEN pg_has_role(current_user, g.grantee, 'USAGE') THEN ''
ELSE '{ANOTHER}' END || g.grantee::regrole || ' ' || g.privilege_type"""
ACL = f"SELECT array_agg({GRANTED}) FROM aclexplode({{}}) g"
TABLES = f"""SELECT c.oid::bigint, c.relkind, c.relpersistence, c.relispopulated, c.relowner::regrole::text,
c.relrowsecurity, c.relforcerowsecurity,
(SELECT jsonb_object_agg(concat_ws(' ', CASE WHEN p.polpermissive THEN '' ELSE 'RESTRICTIVE' END, p.polcmd,
    p.polroles::regrole[], pg_get_expr(p.polqual, c.oid), 'CHECK', pg_get_expr(p.polwithcheck, c.oid)), p.polname)
    FROM pg_policy p WHERE p.polrelid = c.oid)::text,
({ACL.format(RIGHTS)}),
({ACL.format("coalesce(n.nspacl, acldefault('n', n.nspowner))")}),
(SELECT array_agg({GRANTED.replace("|| ' '", "|| ' ' || a.attname || ' '")})
    FROM pg_attribute a, aclexplode(a.attacl) g WHERE a.attrelid = c.oid),
concat_ws(' ', (SELECT array_agg(i.inhparent::regclass::text) FROM pg_inherits i WHERE i.inhrelid = c.oid),
    pg_get_expr(c.relpartbound, c.oid)),
CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) ELSE '' END,
(SELECT to_jsonb(s) - 'seqrelid' FROM pg_sequence s WHERE s.seqrelid = c.oid)::text,
coalesce((SELECT i.inhparent::bigint FROM pg_inherits i WHERE i.inhrelid = c.oid ORDER BY i.inhseqno LIMIT 1),
    (SELECT d.refobjid::bigint FROM pg_depend d WHERE c.relkind = 'S' AND d.objid = c.oid
    AND d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY($1)"""
COLUMNS = """SELECT a.attrelid::bigint, a.attname, a.attnum,
CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod)
    ELSE format_type(a.atttypid, a.atttypmod) END,
NOT (a.attnotnull OR t.typnotnull),
CASE WHEN a.attidentity != '' THEN 'identity' ELSE coalesce(pg_get_expr(d.adbin, d.adrelid), t.typdefault, '') END,
a.attgenerated != '' OR a.attidentity = 'a',
CASE WHEN a.attcollation != t.typcollation THEN a.attcollation::regcollation::text ELSE '' END,
ARRAY(SELECT e.enumlabel FROM pg_enum e WHERE e.enumtypid = a.atttypid ORDER BY e.enumsortorder),
coalesce((SELECT string_agg(pg_get_constraintdef(k.oid), ' ' ORDER BY k.oid) FROM pg_constraint k
    WHERE k.contypid = t.oid AND k.contype = 'c'), '')
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attrelid = ANY($1) ORDER BY a.attrelid, a.attnum"""
NAMES = """ARRAY(SELECT a.attname::text FROM unnest({numbers}) WITH ORDINALITY part(number, place)
JOIN pg_attribute a ON a.attrelid = {table} AND a.attnum = part.number ORDER BY part.place)"""
# An exclusion of what is equal is a unique constraint.
EQUAL = """(k.contype = 'x' AND NOT EXISTS (SELECT FROM pg_operator o
    WHERE o.oid = ANY(k.conexclop) AND o.oprname != '='))"""
CHECKS = f"""SELECT k.conrelid::bigint, k.contype, {NAMES.format(numbers="k.conkey", table="k.conrelid")},
CASE k.contype WHEN 'f' THEN concat_ws(' ', k.confrelid::regclass,
    {NAMES.format(numbers="k.confkey", table="k.confrelid")}) ELSE
    coalesce(pg_get_expr(k.conbin, k.conrelid), pg_get_constraintdef(k.oid)) END,
CASE k.contype WHEN 'f' THEN pg_get_constraintdef(k.oid) ELSE '' END,
coalesce((SELECT pg_get_expr(i.indpred, i.indrelid) FROM pg_index i
    WHERE k.contype = 'x' AND i.indexrelid = k.conindid), '')
FROM pg_constraint k WHERE k.contype IN ('c', 'f', 'x') AND NOT {EQUAL} AND k.conrelid = ANY($1)"""
# A unique index, of a constraint or of its own, and all columns that it uses.
UNIQUE = f"""SELECT i.indrelid::bigint, {NAMES.format(numbers="i.indkey::int2[]", table="i.indrelid")},
coalesce(pg_get_expr(i.indexprs, i.indrelid), ''), coalesce(pg_get_expr(i.indpred, i.indrelid), ''),
ARRAY(SELECT DISTINCT a.attname::text FROM pg_depend d JOIN pg_attribute a
    ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid AND d.refobjid = i.indrelid),
NOT coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::bool, false)
FROM pg_index i WHERE i.indrelid = ANY($1)
AND (i.indisunique OR EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid AND {EQUAL}))"""
INDEXED = """SELECT i.indrelid::bigint, concat_ws(', ', pg_get_expr(i.indexprs, i.indrelid),
pg_get_expr(i.indpred, i.indrelid)) FROM pg_index i
WHERE (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL) AND i.indrelid = ANY($1)"""
OTHERS = """SELECT t.tgrelid::bigint, 'trigger ' || t.tgname,
concat_ws(' ', t.tgenabled, pg_get_triggerdef(t.oid), md5(p.prosrc))
FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid WHERE NOT t.tgisinternal AND t.tgrelid = ANY($1)
UNION ALL SELECT r.ev_class::bigint, 'rule ' || r.rulename, concat_ws(' ', r.ev_enabled, pg_get_ruledef(r.oid))
FROM pg_rewrite r WHERE r.rulename != '_RETURN' AND r.ev_class = ANY($1)"""


QUERIES = {  # of some tables
    "tables": TABLES,
    "columns": COLUMNS,
    "checks": CHECKS,
    "unique": UNIQUE,
    "indexed": INDEXED,
    "others": OTHERS,
}


def read_marks(cursor: Any) -> dict[Any, Any]:
    """Return each table's mark, which another one replaces when it changes."""
    cursor.execute("SELECT FROM pg_prepared_statements WHERE name = 'read_marks'")
    if not cursor.fetchall():
        prepare(cursor)
    cursor.execute("EXECUTE read_marks")
    return dict(cursor.fetchall())


def prepare(cursor: Any) -> None:
    """Prepare the queries for this session: planning one takes longer than it."""
    cursor.execute("SET plan_cache_mode = force_generic_plan")
    cursor.execute(PATH)
    ((path,),) = cursor.fetchall()
    cursor.execute(f"PREPARE read_marks AS {MARKS}")
    cursor.execute(f"PREPARE read_names AS {TABLE_NAMES.format(path=path)}")
    for name, sql in QUERIES.items():
        cursor.execute(f"PREPARE read_{name}(oid[]) AS {sql}")


def read_names(cursor: Any) -> dict[str, Any]:
    """Return the ids of the tables by name."""
    cursor.execute("EXECUTE read_names")
    return dict(cursor.fetchall())


def ask(cursor: Any, name: str, ids: list[Any]) -> list[Any]:
    cursor.execute(f"EXECUTE read_{name}('{{{','.join(map(str, ids))}}}')")
    return list(cursor.fetchall())


def read_tables(cursor: Any, ids: list[Any]) -> dict[Any, Table]:
    """Return these tables, views and sequences in full."""
    tables = {id: table_of(*row) for id, *row in ask(cursor, "tables", ids)}
    for id, name, number, type, null, default, computed, collation, labels, domain in ask(cursor, "columns", ids):
        tables[id].columns[name] = Column(number, type, null, default, computed, collation, tuple(labels), domain)
    read_checks(cursor, ids, tables)
    for id, constraint in read_unique(cursor, ids):
        tables[id].constraints |= {constraint}
    for id, expressions in ask(cursor, "indexed", ids):
        tables[id].computed |= {expressions}
    for id, name, definition in ask(cursor, "others", ids):
        tables[id].others[name] = definition
    return tables


def table_of(kind: str, persistence: str, populated: bool, owner: str, secured: bool, forced: bool, *row: Any) -> Table:
    policies, on_table, on_schema, on_columns, partition, query, sequence, parent = row
    on_schema = [f"schema {each}" for each in on_schema or ()]
    others = {
        "owner": owner,
        "storage": kind + persistence,
        "partition": partition,
        "query": query,
        "sequence": sequence or "",
    }
    return Table(
        KINDS[kind],
        populated=populated,
        privileges=frozenset([*(on_table or ()), *on_schema, *(on_columns or ())]),
        security="forced" if forced else "enabled" if secured else "",
        policies=json.loads(policies or "{}"),
        parent=parent,
        others=others,
    )


def read_checks(cursor: Any, ids: list[Any], tables: dict[Any, Table]) -> None:
    """Read checks, exclusions and foreign keys. What one of the latter does at a DELETE is not what it demands."""
    for id, kind, columns, expression, definition, condition in ask(cursor, "checks", ids):
        where_columns = tuple(named(condition, tables[id].columns))
        constraint = Constraint(CONSTRAINTS[kind], tuple(columns), expression, condition, where_columns)
        tables[id].constraints |= {constraint}
        if definition:
            tables[id].others[f"foreign key ({', '.join(columns)})"] = definition


def read_unique(cursor: Any, ids: list[Any]) -> Iterator[tuple[Any, Constraint]]:
    for id, columns, expressions, condition, used, nulls_differ in ask(cursor, "unique", ids):
        keys = [*columns, *(column for column in named(expressions, used) if column not in columns)]
        yield id, Constraint("unique", tuple(keys), expressions, condition, tuple(named(condition, used)), nulls_differ)
