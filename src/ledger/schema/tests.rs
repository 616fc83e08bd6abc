use super::*;

fn schema(applied: impl IntoIterator<Item = i64>, floor: Option<i64>) -> Schema {
    Schema { applied: applied.into_iter().collect(), floor }
}

#[test]
fn a_version_goes_on_with_what_was_added_and_with_nothing_else() {
    let fit = |applied: &[i64], floor| schema(applied.iter().copied(), floor).fit(1..=10);
    let all: Vec<_> = (1..=10).collect();
    let and = |more: &[i64]| [&all, more].concat();
    assert_eq!(fit(&all, Some(9)), Fit::Same);
    assert_eq!(fit(&all[..9], Some(9)), Fit::Older { step: 10 });
    assert_eq!(fit(&[], None), Fit::Older { step: 1 });
    // Added, and added again.
    assert_eq!(fit(&and(&[11]), Some(9)), Fit::Newer { step: 11 });
    assert_eq!(fit(&and(&[11, 12]), Some(10)), Fit::Newer { step: 11 });
    // Taken away, whether at once or later.
    assert_eq!(fit(&and(&[11]), Some(11)), Fit::Foreign { step: 11 });
    assert_eq!(fit(&and(&[11, 12, 13]), Some(12)), Fit::Foreign { step: 12 });
    // Another way: nobody says that what is between, or missing, does not matter.
    assert_eq!(fit(&and(&[11]), None), Fit::Foreign { step: 11 });
    assert_eq!(fit(&[&all[..9], &[11]].concat(), Some(9)), Fit::Foreign { step: 11 });
    assert_eq!(schema([1, 2, 3], None).fit([1, 3]), Fit::Foreign { step: 2 });
    assert_eq!(schema([1, 2, 3, 4], Some(1)).fit([1, 3, 4]), Fit::Foreign { step: 2 });
}

#[test]
fn both_engines_make_the_same_steps_and_raise_the_floor_alike() {
    let of = |migrations: &Migrator, from: i64| -> Vec<_> {
        let steps = migrations.iter().filter(|step| step.version >= from);
        steps.map(|step| (step.version, step.description.to_string(), floor(step))).collect()
    };
    // What SQLite has after seven steps the server has in one.
    assert_eq!(of(&sqlite::MIGRATIONS, 8), of(&postgres::MIGRATIONS, 8));
    assert_eq!(postgres::MIGRATIONS.iter().next().unwrap().version, 7);
}

/// What changes an older version's work, or what it finds, is for a later release, which says so.
#[test]
fn steps_only_add_or_raise_the_floor() {
    for (migrations, on_server) in [(&sqlite::MIGRATIONS, false), (&postgres::MIGRATIONS, true)] {
        for step in migrations.iter().filter(|step| step.version > HAS_FLOOR) {
            let refused = refused(step.sql.as_str(), on_server);
            match floor(step) {
                None => {
                    assert!(refused.is_empty(), "step {} only adds, but {refused:?}", step.version)
                }
                Some(floor) => assert_eq!(floor, step.version, "the floor is the step's own"),
            }
            let is_alone = !step.sql.as_str().contains("CONCURRENTLY")
                || (step.no_tx && statements(step.sql.as_str()).len() == 1);
            assert!(is_alone, "step {}: made beside others' work, so alone", step.version);
        }
    }
}

#[test]
fn what_adds_is_told_from_what_does_not() {
    for adds in [
        "CREATE TABLE later (id BIGINT NOT NULL REFERENCES content (id)); \
         CREATE UNIQUE INDEX later_id ON later (id); INSERT INTO later (id) VALUES (1)",
        "ALTER TABLE content ADD COLUMN note TEXT",
        "ALTER TABLE content ADD COLUMN number BIGINT NOT NULL DEFAULT 0",
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS content_note ON content (note)",
    ] {
        assert!(refused(adds, true).is_empty(), "{adds}");
    }
    assert!(refused("CREATE INDEX content_note ON content (note)", false).is_empty());
    for does_not in [
        "ALTER TABLE content DROP COLUMN lane",
        "ALTER TABLE content RENAME COLUMN lane TO track",
        "ALTER TABLE content ALTER COLUMN due TYPE TEXT",
        "ALTER TABLE content ADD COLUMN number BIGINT NOT NULL",
        "ALTER TABLE content ADD COLUMN number BIGINT UNIQUE",
        "ALTER TABLE content ADD COLUMN number BIGINT REFERENCES later (id)",
        "ALTER TABLE content ADD COLUMN number BIGINT CHECK (number > 0)",
        "ALTER TABLE content ADD COLUMN number BIGINT, DROP COLUMN lane",
        "ALTER TABLE content ADD CONSTRAINT positive CHECK (due > 0)",
        "CREATE UNIQUE INDEX content_due ON content (due)",
        "CREATE TRIGGER counted AFTER INSERT ON content BEGIN SELECT 1; END",
        "DROP INDEX content_waiting",
        "DROP TABLE probe",
        "UPDATE content SET due = 0",
        "INSERT INTO content (id) SELECT id FROM later",
        "DELETE FROM content",
        // Nobody could write meanwhile.
        "CREATE INDEX content_note ON content (note)",
        // Whoever comes after one that was killed would find it there for good.
        "CREATE INDEX CONCURRENTLY content_note ON content (note)",
    ] {
        assert!(!refused(does_not, true).is_empty(), "{does_not}");
    }
}

#[test]
fn statements_name_their_columns() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ledger");
    let mut read = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        read += 1;
        // A column that a later version adds would be an answer's, or a row's, that expects none.
        for wrong in ["SELECT *", "RETURNING *", ".*"] {
            let found = text.lines().find(|line| line.contains(wrong) && !line.contains("//"));
            assert_eq!(found, None, "{}", path.display());
        }
        for insert in text.split("INSERT INTO ").skip(1) {
            let columns = insert.trim_start_matches(|c| c != ' ' && c != '(');
            assert!(columns.starts_with(" ("), "{}: {insert}", path.display());
        }
    }
    assert!(read > 20, "{read} files");
}

/// The statements that do not only add.
fn refused(sql: &str, on_server: bool) -> Vec<String> {
    let statements = statements(sql);
    let made: Vec<_> = statements
        .iter()
        .filter_map(|statement| statement.strip_prefix("CREATE TABLE "))
        .map(|rest| rest.split([' ', '(']).next().unwrap_or_default().to_owned())
        .collect();
    let is_made = |table: &str| made.iter().any(|made| made == table);
    let adds = |statement: &&String| {
        let words: Vec<_> =
            statement.split([' ', '(', ',']).filter(|word| !word.is_empty()).collect();
        let has = |word| words[1..].contains(&word);
        let on = words.iter().position(|word| *word == "ON").map(|on| words[on + 1]);
        match words[..] {
            ["CREATE", "TABLE", ..] => true,
            ["CREATE", "UNIQUE", "INDEX", ..] => on.is_some_and(is_made),
            ["CREATE", "INDEX", "CONCURRENTLY", "IF", "NOT", "EXISTS", ..] => on_server,
            ["CREATE", "INDEX", ..] => on.is_some_and(is_made) || !on_server,
            ["INSERT", "INTO", table, ..] => is_made(table),
            ["ALTER", "TABLE", _, "ADD", "COLUMN", ..] => {
                let may_be_left_out = !has("NOT") || has("DEFAULT");
                let binds = ["UNIQUE", "REFERENCES", "CHECK", "PRIMARY", "DROP", "ALTER", "RENAME"];
                may_be_left_out && !binds.into_iter().any(has)
            }
            _ => false,
        }
    };
    statements.iter().filter(|statement| !adds(statement)).cloned().collect()
}

/// Which floor a step sets.
fn floor(step: &sqlx::migrate::Migration) -> Option<i64> {
    let statements = statements(step.sql.as_str());
    let raise = statements.iter().find_map(|it| it.strip_prefix("UPDATE schema_floor SET step = "));
    raise.map(|step| step.parse().unwrap())
}

/// Without comments, each in one line.
fn statements(sql: &str) -> Vec<String> {
    let code: Vec<_> = sql.lines().filter_map(|line| line.split("--").next()).collect();
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    code.join(" ").split(';').map(words).filter(|statement| !statement.is_empty()).collect()
}
