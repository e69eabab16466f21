//! The catalog as it is described.

use crossfade_model::{KeyOrder, LogicalType, Schema, Table, TableName};

use crate::support::{Database, SERVERS};

pub const SHOP: &str = r#"
    CREATE SCHEMA "Big Shop";
    CREATE TYPE "Big Shop".mood AS ENUM ('sad', 'it''s ok', 'happy');
    CREATE DOMAIN public.cents AS bigint DEFAULT 0 NOT NULL CONSTRAINT positive CHECK (VALUE >= 0);
    CREATE DOMAIN public.price AS public.cents;
    CREATE TYPE public.place AS (street text, moods "Big Shop".mood[], cost public.price);
    CREATE TYPE public.span AS RANGE (subtype = int4);
    CREATE SEQUENCE public.tickets AS integer INCREMENT BY 5 MAXVALUE 1000 START 10 CACHE 3 CYCLE;
    CREATE TABLE public.customer (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        email varchar(200) NOT NULL UNIQUE,
        name text COLLATE "C" DEFAULT 'nobody',
        shout text GENERATED ALWAYS AS (upper(name)) STORED,
        address public.place,
        mood "Big Shop".mood NOT NULL DEFAULT 'happy'
    );
    CREATE TABLE "Big Shop"."Order" (
        id serial,
        "customer id" bigint NOT NULL,
        cost public.price,
        amount numeric(10,2) CHECK (amount > 0),
        noted timestamp(3),
        tags text[],
        data jsonb,
        PRIMARY KEY (id),
        CONSTRAINT buyer FOREIGN KEY ("customer id") REFERENCES public.customer (id)
            ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
    );
    CREATE INDEX order_data ON "Big Shop"."Order" USING gin (data);
    CREATE UNIQUE INDEX order_day ON "Big Shop"."Order" ("customer id", noted) WHERE amount > 1;
    CREATE INDEX order_noted ON "Big Shop"."Order" (noted);
    CREATE TABLE public.event (id int, at date NOT NULL, note text, PRIMARY KEY (at, id)) PARTITION BY RANGE (at);
    CREATE TABLE public.event_2025 PARTITION OF public.event FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')
        PARTITION BY LIST (id);
    CREATE TABLE public.event_2025_1 PARTITION OF public.event_2025 FOR VALUES IN (1);
    CREATE TABLE public.event_2025_x PARTITION OF public.event_2025 DEFAULT;
    CREATE TABLE public.event_rest PARTITION OF public.event DEFAULT;
    CREATE INDEX event_note ON public.event (note);
    CREATE VIEW public.happy AS SELECT * FROM public.customer WHERE mood = 'happy';
    CREATE FUNCTION public.one() RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE SCHEMA crossfade;
    CREATE TABLE crossfade.migration (name text PRIMARY KEY);
"#;

fn table<'a>(schema: &'a Schema, namespace: &str, name: &str) -> &'a Table {
    schema
        .table(&TableName {
            schema: Some(namespace.into()),
            name: name.into(),
        })
        .unwrap_or_else(|| panic!("no table {namespace}.{name}"))
}

#[tokio::test]
async fn tables_are_described_on_every_version() {
    for server in SERVERS {
        let database = Database::create(server).await;
        database.run(SHOP).await;
        let schema = crossfade_postgres::describe::describe(&database.store())
            .await
            .unwrap();
        check_shop(&schema);
        database.drop().await;
    }
}

fn check_shop(schema: &Schema) {
    let names: Vec<String> = schema.tables.iter().map(|t| t.name.to_string()).collect();
    assert_eq!(names, ["Big Shop.Order", "public.customer", "public.event"]);

    let customer = table(schema, "public", "customer");
    let key = customer.key.as_ref().unwrap();
    assert_eq!(
        (key.name.as_str(), key.primary, key.order),
        ("customer_pkey", true, KeyOrder::Ordered)
    );
    assert_eq!(key.columns, [0]);
    assert!(customer.columns[0].identity.as_ref().unwrap().always);
    assert_eq!(customer.columns[1].declared, "character varying(200)");
    assert_eq!(
        customer.columns[2].collation.as_deref(),
        Some("pg_catalog.\"C\"")
    );
    assert_eq!(
        customer.columns[2].default.as_deref(),
        Some("'nobody'::text")
    );
    assert!(customer.columns[3].generated.as_ref().unwrap().stored);
    assert_eq!(customer.columns[3].default, None);
    assert_eq!(customer.columns[4].declared, "public.place");
    assert_eq!(
        customer.columns[5].default.as_deref(),
        Some("'happy'::\"Big Shop\".mood")
    );
    assert!(!customer.full_before_images);
    assert_eq!(customer.indexes.len(), 1);
    let unique = &customer.indexes[0];
    assert!(unique.unique && unique.constraint && !unique.special);
    assert_eq!(
        (unique.name.as_str(), unique.definition.as_str()),
        ("customer_email_key", "UNIQUE (email)")
    );

    let order = table(schema, "Big Shop", "Order");
    assert_eq!(
        order.columns[0].default.as_deref(),
        Some("nextval('\"Big Shop\".\"Order_id_seq\"'::regclass)")
    );
    assert_eq!(
        (order.columns[2].logical, order.columns[2].declared.as_str()),
        (LogicalType::Integer { bits: 64 }, "public.price")
    );
    assert_eq!(
        (order.columns[3].logical, order.columns[3].declared.as_str()),
        (LogicalType::Decimal, "numeric(10,2)")
    );
    assert_eq!(
        (order.columns[5].logical, order.columns[5].declared.as_str()),
        (LogicalType::Other, "text[]")
    );
    assert_eq!(order.columns[6].logical, LogicalType::Json);
    assert_eq!(order.checks.len(), 1);
    assert_eq!(
        order.checks[0].definition,
        "CHECK ((amount > (0)::numeric))"
    );
    let buyer = &order.foreign_keys[0];
    assert_eq!(
        (buyer.columns.as_slice(), buyer.parent_columns.as_slice()),
        (
            ["customer id".to_owned()].as_slice(),
            ["id".to_owned()].as_slice()
        )
    );
    assert_eq!(buyer.parent.to_string(), "public.customer");
    assert_eq!(
        buyer.actions,
        "ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED"
    );
    let indexes: Vec<(&str, bool, bool)> = order
        .indexes
        .iter()
        .map(|i| (i.name.as_str(), i.unique, i.special))
        .collect();
    assert_eq!(
        indexes,
        [
            ("order_data", false, true),
            ("order_day", true, true),
            ("order_noted", false, false)
        ]
    );
    assert_eq!(
        order.indexes[2].definition,
        "CREATE INDEX \"order_noted\" ON \"Big Shop\".\"Order\" USING btree (noted)"
    );

    let event = table(schema, "public", "event");
    assert_eq!(event.key.as_ref().unwrap().columns, [1, 0]);
    assert_eq!(
        event.partition_by.as_deref(),
        Some("PARTITION BY RANGE (at)")
    );
    let mut seen = vec!["public.event".to_owned()];
    for partition in &event.partitions {
        assert!(
            seen.contains(&partition.parent.to_string()),
            "a parent comes first"
        );
        seen.push(partition.name.to_string());
    }
    assert_eq!(seen.len(), 5);
    assert!(
        event
            .partitions
            .iter()
            .any(|p| p.bound == "DEFAULT" && p.name.name == "event_rest")
    );
    assert!(
        event
            .partitions
            .iter()
            .any(|p| p.partition_by.as_deref() == Some("PARTITION BY LIST (id)"))
    );
    assert_eq!(event.indexes.len(), 1);
    assert_eq!(
        event.indexes[0].definition,
        "CREATE INDEX \"event_note\" ON \"public\".\"event\" USING btree (note)"
    );

    let types: Vec<&str> = schema.types.iter().map(|t| t.name.as_str()).collect();
    let at = |name: &str| types.iter().position(|t| *t == name).unwrap();
    assert!(at("\"public\".\"cents\"") < at("\"public\".\"price\""));
    assert!(at("\"public\".\"price\"") < at("\"public\".\"place\""));
    assert!(at("\"Big Shop\".\"mood\"") < at("\"public\".\"place\""));
    assert_eq!(types.len(), 4);
    assert_eq!(
        schema.types[at("\"public\".\"cents\"")].definition,
        "CREATE DOMAIN \"public\".\"cents\" AS bigint DEFAULT 0 NOT NULL CONSTRAINT positive CHECK ((VALUE >= 0))"
    );

    let tickets = schema
        .sequences
        .iter()
        .find(|s| s.name.name == "tickets")
        .unwrap();
    assert_eq!(
        tickets.definition,
        "CREATE SEQUENCE \"public\".\"tickets\" AS integer INCREMENT BY 5 MINVALUE 1 MAXVALUE 1000 START WITH 10 CACHE 3 CYCLE"
    );
    assert_eq!((tickets.owner.as_ref(), tickets.last_value), (None, None));
    let identity = schema
        .sequences
        .iter()
        .find(|s| s.name.name == "customer_id_seq")
        .unwrap();
    assert!(identity.definition.is_empty());
    assert_eq!(identity.owner.as_ref().unwrap().1, "id");

    let omitted = |kind: &str, name: &str| {
        assert!(
            schema
                .omissions
                .iter()
                .any(|o| o.kind == kind && o.name.contains(name)),
            "{kind} {name}: {:?}",
            schema.omissions
        );
    };
    omitted("view", "public.happy");
    omitted("function", "public.one()");
    omitted("type", "public.span");
}
