//! The queries on the system catalog. Columns that only some versions have are read from the row's JSON form.

/// Schemas of users, as a condition on `pg_namespace` `n`.
pub const USER_SCHEMA: &str =
    r"(n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'crossfade'))";

/// Not made by an extension: a condition on an object of `class` by its `oid`.
pub fn not_of_extension(class: &str, oid: &str) -> String {
    format!(
        "NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = '{class}'::regclass \
         AND x.objid = {oid} AND x.deptype = 'e')"
    )
}

/// A collation that sorts by bytes: C and POSIX of any provider, and the built-in provider's code point order, which in
/// UTF-8 is the bytes' order. `co` is the collation's row.
const BYTE_ORDERED: &str = "(co.collprovider = 'c' AND co.collcollate IN ('C', 'POSIX') \
    OR co.collprovider = 'b' AND coalesce(to_jsonb(co)->>'colllocale', to_jsonb(co)->>'colliculocale') IN ('C', 'C.UTF-8', 'C.UTF8'))";

/// The database's default collation and encoding.
pub const DATABASE: &str = "
    SELECT pg_encoding_to_char(d.encoding)::text AS encoding,
           (coalesce(to_jsonb(d)->>'datlocprovider', 'c') = 'c' AND d.datcollate IN ('C', 'POSIX')
            OR coalesce(to_jsonb(d)->>'datlocprovider' = 'b'
               AND to_jsonb(d)->>'datlocale' IN ('C', 'C.UTF-8', 'C.UTF8'), false)) AS byte_ordered
    FROM pg_database d WHERE d.datname = current_database()";

/// Tables, partitioned tables, partitions, foreign tables.
pub fn relations() -> String {
    let not_of_extension = not_of_extension("pg_class", "c.oid");
    format!(
        "
    SELECT c.oid, n.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS kind,
           c.relpersistence::text AS persistence, c.relispartition AS is_partition,
           c.relreplident::text AS replica_identity, c.reltuples::float8 AS analysed_rows,
           c.relpages AS analysed_pages,
           CASE WHEN c.relkind = 'r' THEN pg_table_size(c.oid) ELSE 0 END AS bytes,
           c.relrowsecurity AS row_security, c.relforcerowsecurity AS force_row_security,
           pg_get_userbyid(c.relowner)::text AS owner,
           CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END AS partition_key,
           CASE WHEN c.relispartition THEN pg_get_expr(c.relpartbound, c.oid) END AS bound,
           (SELECT array_agg(h.inhparent ORDER BY h.inhseqno) FROM pg_inherits h
            WHERE h.inhrelid = c.oid) AS parents,
           NOT {not_of_extension} AS of_extension,
           (c.reloptions IS NOT NULL OR c.reltablespace <> 0
            OR coalesce(a.amname <> 'heap', false)) AS special_storage
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_am a ON a.oid = c.relam
    WHERE c.relkind IN ('r', 'p', 'f') AND {USER_SCHEMA}
    ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\""
    )
}

/// Columns of tables; of partitions too, for their names' numbers.
pub fn columns() -> String {
    format!(
        "
    WITH RECURSIVE base (oid, base, typmod) AS (
        SELECT t.oid, t.oid, -1 FROM pg_type t WHERE t.typtype <> 'd'
        UNION ALL
        SELECT d.oid, b.base, CASE WHEN d.typtypmod >= 0 THEN d.typtypmod ELSE b.typmod END
        FROM pg_type d JOIN base b ON d.typbasetype = b.oid WHERE d.typtype = 'd')
    SELECT a.attrelid AS relation, a.attnum AS number, a.attname::text AS name,
           format_type(a.atttypid, a.atttypmod) AS declared,
           a.attnotnull AND NOT EXISTS (
               SELECT FROM pg_constraint nn WHERE nn.conrelid = a.attrelid AND nn.contype = 'n'
               AND NOT nn.convalidated AND nn.conkey = ARRAY[a.attnum]) AS not_null,
           a.attidentity::text AS identity, a.attgenerated::text AS generated,
           pg_get_expr(d.adbin, d.adrelid) AS expression,
           bt.typname::text AS base_type, bn.nspname = 'pg_catalog' AS base_is_system,
           bt.typtype::text AS base_kind,
           CASE WHEN bn.nspname <> 'pg_catalog' THEN (
               SELECT e.extname::text FROM pg_depend x JOIN pg_extension e ON e.oid = x.refobjid
               WHERE x.classid = 'pg_type'::regclass AND x.refclassid = 'pg_extension'::regclass AND x.deptype = 'e'
                 AND x.objid = CASE WHEN bt.typelem <> 0 AND bt.typlen = -1 THEN bt.typelem ELSE bt.oid END)
           END AS extension,
           CASE WHEN a.attcollation <> t.typcollation
                THEN quote_ident(cn.nspname) || '.' || quote_ident(co.collname) END AS collation,
           a.attcollation <> 0 AS collatable,
           coalesce(co.collisdeterministic, true) AS deterministic,
           coalesce({BYTE_ORDERED}, false) AS byte_ordered,
           coalesce(co.collprovider = 'd', false) AS default_collation,
           bt.typname = 'bpchar' AND bn.nspname = 'pg_catalog'
               AND a.atttypmod < 0 AND b.typmod < 0 AS blank_padded_without_length
    FROM pg_attribute a
    JOIN pg_class c ON c.oid = a.attrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_type t ON t.oid = a.atttypid
    JOIN base b ON b.oid = a.atttypid
    JOIN pg_type bt ON bt.oid = b.base
    JOIN pg_namespace bn ON bn.oid = bt.typnamespace
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    LEFT JOIN pg_collation co ON co.oid = a.attcollation
    LEFT JOIN pg_namespace cn ON cn.oid = co.collnamespace
    WHERE c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped AND {USER_SCHEMA}
    ORDER BY a.attrelid, a.attnum"
    )
}

/// Indexes with the constraints that they back.
pub fn indexes() -> String {
    format!(
        "
    SELECT i.indrelid AS relation, i.indexrelid AS oid, ic.relname::text AS name,
           i.indisunique AS unique, i.indisprimary AS primary, i.indisexclusion AS exclusion,
           i.indimmediate AS immediate, i.indisvalid AND i.indisready AS valid,
           i.indisreplident AS replica_identity,
           i.indpred IS NOT NULL AS partial, i.indexprs IS NOT NULL AS expressions,
           EXISTS (SELECT FROM generate_series(0, i.indnkeyatts - 1) p
                   LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[p]
                   LEFT JOIN pg_opclass oc ON oc.oid = i.indclass[p]
                   WHERE i.indcollation[p] <> coalesce(a.attcollation, i.indcollation[p])
                      OR NOT coalesce(oc.opcdefault, false) OR i.indoption[p] <> 0) AS special_columns,
           ARRAY(SELECT k.number FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(number, place)
                 WHERE k.place <= i.indnkeyatts ORDER BY k.place) AS key,
           i.indnatts > i.indnkeyatts AS includes,
           am.amname::text AS method,
           coalesce((to_jsonb(i)->>'indnullsnotdistinct')::bool, false) AS nulls_not_distinct,
           pg_get_indexdef(i.indexrelid) AS definition,
           con.conname::text AS constraint_name, con.contype::text AS constraint_kind,
           pg_get_constraintdef(con.oid) AS constraint_definition,
           EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = i.indexrelid) AS inherited
    FROM pg_index i
    JOIN pg_class ic ON ic.oid = i.indexrelid
    JOIN pg_am am ON am.oid = ic.relam
    JOIN pg_class c ON c.oid = i.indrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_constraint con ON con.conindid = i.indexrelid AND con.contype IN ('p', 'u', 'x')
    WHERE c.relkind IN ('r', 'p') AND {USER_SCHEMA}
    ORDER BY i.indrelid, ic.relname COLLATE \"C\""
    )
}

/// Foreign keys and checks.
pub fn constraints() -> String {
    format!(
        "
    SELECT con.conrelid AS relation, con.conname::text AS name, con.contype::text AS kind,
           (SELECT array_agg(a.attname::text ORDER BY k.place)
            FROM unnest(con.conkey) WITH ORDINALITY AS k(number, place)
            JOIN pg_attribute a ON a.attrelid = con.conrelid AND a.attnum = k.number) AS columns,
           pn.nspname::text AS parent_schema, pc.relname::text AS parent_name,
           (SELECT array_agg(a.attname::text ORDER BY k.place)
            FROM unnest(con.confkey) WITH ORDINALITY AS k(number, place)
            JOIN pg_attribute a ON a.attrelid = con.confrelid AND a.attnum = k.number) AS parent_columns,
           pg_get_constraintdef(con.oid) AS definition,
           con.conparentid <> 0 OR NOT con.conislocal AS inherited
    FROM pg_constraint con
    JOIN pg_class c ON c.oid = con.conrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_class pc ON pc.oid = con.confrelid
    LEFT JOIN pg_namespace pn ON pn.oid = pc.relnamespace
    WHERE con.contype IN ('f', 'c') AND c.relkind IN ('r', 'p') AND {USER_SCHEMA}
    ORDER BY con.conrelid, con.conname COLLATE \"C\""
    )
}

/// Users' types. `parts` are labels of an enum, attributes of a composite, clauses of a domain; `needs` the types below,
/// under arrays. A composite that uses a table's row type is shown with kind `t`.
pub fn types() -> String {
    let not_of_extension = not_of_extension("pg_type", "t.oid");
    format!(
        "
    WITH element (oid, element) AS (
        SELECT e.oid, CASE WHEN e.typelem <> 0 AND e.typlen = -1 THEN e.typelem ELSE e.oid END FROM pg_type e)
    SELECT t.oid, n.nspname::text AS schema, t.typname::text AS name,
           CASE WHEN t.typtype = 'c' AND EXISTS (
                    SELECT FROM pg_attribute a JOIN element e ON e.oid = a.atttypid
                    JOIN pg_type et ON et.oid = e.element JOIN pg_class ec ON ec.oid = et.typrelid
                    WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
                      AND et.typtype = 'c' AND ec.relkind <> 'c')
                THEN 't' ELSE t.typtype::text END AS kind,
           CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) END AS base,
           CASE t.typtype
             WHEN 'e' THEN (SELECT array_agg(l.enumlabel::text ORDER BY l.enumsortorder)
                            FROM pg_enum l WHERE l.enumtypid = t.oid)
             WHEN 'c' THEN (SELECT array_agg(
                                quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod)
                                || CASE WHEN a.attcollation <> at.typcollation
                                        THEN ' COLLATE ' || quote_ident(cn.nspname) || '.' || quote_ident(co.collname)
                                        ELSE '' END
                                ORDER BY a.attnum)
                            FROM pg_attribute a JOIN pg_type at ON at.oid = a.atttypid
                            LEFT JOIN pg_collation co ON co.oid = a.attcollation
                            LEFT JOIN pg_namespace cn ON cn.oid = co.collnamespace
                            WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped)
             WHEN 'd' THEN array_remove(ARRAY[
                                (SELECT 'COLLATE ' || quote_ident(cn.nspname) || '.' || quote_ident(co.collname)
                                 FROM pg_collation co JOIN pg_namespace cn ON cn.oid = co.collnamespace
                                 JOIN pg_type bt ON bt.oid = t.typbasetype
                                 WHERE co.oid = t.typcollation AND t.typcollation <> bt.typcollation),
                                'DEFAULT ' || pg_get_expr(t.typdefaultbin, 0),
                                CASE WHEN t.typnotnull THEN 'NOT NULL' END], NULL)
                            || coalesce((SELECT array_agg('CONSTRAINT ' || quote_ident(k.conname) || ' '
                                                          || pg_get_constraintdef(k.oid) ORDER BY k.conname)
                                         FROM pg_constraint k
                                         WHERE k.contypid = t.oid AND k.contype = 'c' AND k.convalidated), '{{}}')
           END AS parts,
           CASE t.typtype
             WHEN 'd' THEN (SELECT ARRAY[e.element] FROM element e WHERE e.oid = t.typbasetype)
             WHEN 'c' THEN (SELECT array_agg(e.element) FROM pg_attribute a JOIN element e ON e.oid = a.atttypid
                            WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped)
           END AS needs
    FROM pg_type t
    JOIN pg_namespace n ON n.oid = t.typnamespace
    LEFT JOIN pg_class c ON c.oid = t.typrelid
    WHERE {USER_SCHEMA} AND {not_of_extension}
      AND (t.typtype IN ('e', 'd', 'r') OR t.typtype = 'c' AND c.relkind = 'c'
           OR t.typtype = 'b' AND NOT (t.typelem <> 0 AND t.typlen = -1))
    ORDER BY t.oid"
    )
}

/// Sequences, their options, owners, and the last value handed out where the role may read it.
pub fn sequences() -> String {
    let not_of_extension = not_of_extension("pg_class", "c.oid");
    format!(
        "
    SELECT c.oid, n.nspname::text AS schema, c.relname::text AS name,
           format_type(s.seqtypid, NULL) AS type, s.seqincrement AS increment, s.seqmin AS min,
           s.seqmax AS max, s.seqstart AS start, s.seqcache AS cache, s.seqcycle AS cycle,
           readable.yes AS readable,
           CASE WHEN readable.yes THEN pg_sequence_last_value(c.oid) END AS last_value,
           coalesce(d.deptype = 'i', false) AS is_identity,
           o_n.nspname::text AS owner_schema, o.relname::text AS owner_table, a.attname::text AS owner_column
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_sequence s ON s.seqrelid = c.oid
    CROSS JOIN LATERAL (SELECT has_sequence_privilege(c.oid, 'SELECT')
                               AND has_schema_privilege(n.oid, 'USAGE') AS yes) readable
    LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid
                         AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0
                         AND d.deptype IN ('a', 'i')
    LEFT JOIN pg_class o ON o.oid = d.refobjid
    LEFT JOIN pg_namespace o_n ON o_n.oid = o.relnamespace
    LEFT JOIN pg_attribute a ON a.attrelid = o.oid AND a.attnum = d.refobjsubid
    WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND {USER_SCHEMA} AND {not_of_extension}
    ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\""
    )
}
