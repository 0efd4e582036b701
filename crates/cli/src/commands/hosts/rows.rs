//! Hosts from CSV, JSON or TOML. Every fault is told with its line.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;
use toml_edit::{ImDocument, Item};
use uphaul_store::{HOSTS_MAX, NewHost};

use super::import::Format;
use crate::config::{line_of, nearest};

/// The fields of a host, in the order of the CSV header.
const FIELDS: [&str; 6] = ["name", "address", "port", "user", "host_key", "labels"];

/// A host as it stands in the file: fields and labels that are there, with their line.
#[derive(Debug, Default)]
struct Row {
    line: usize,
    fields: BTreeMap<String, String>,
    labels: Vec<(String, String)>,
    wrong: Vec<String>,
}

/// Reads all hosts, or says all that is wrong.
pub(super) fn read(text: &str, format: Format, file: &str) -> Result<Vec<NewHost>, Vec<String>> {
    let rows = match format {
        Format::Csv => csv(text),
        Format::Json => json(text),
        Format::Toml => toml(text),
    };
    let rows = rows.map_err(|(line, why)| vec![format!("{file}:{line}: {why}")])?;
    if rows.len() > HOSTS_MAX {
        return Err(vec![format!("{file}: has {} hosts; the record takes at most {HOSTS_MAX}", rows.len())]);
    }
    let (mut hosts, mut wrong) = (Vec::new(), Vec::new());
    let mut lines: BTreeMap<String, usize> = BTreeMap::new();
    for row in rows {
        let line = row.line;
        match row.host() {
            Ok(host) => {
                match lines.get(host.name.as_str()) {
                    Some(first) => {
                        wrong.push(format!("{file}:{line}: {} stands on line {first} as well", host.name));
                    }
                    None => drop(lines.insert(host.name.to_string(), line)),
                }
                hosts.push(host);
            }
            Err(all) => wrong.extend(all.into_iter().map(|why| format!("{file}:{line}: {why}"))),
        }
    }
    if wrong.is_empty() { Ok(hosts) } else { Err(wrong) }
}

impl Row {
    fn at(line: usize) -> Self {
        Self { line, ..Self::default() }
    }

    fn set(&mut self, field: &str, text: &str) {
        if !text.is_empty() {
            self.fields.insert(field.to_owned(), text.to_owned());
        }
    }

    /// Labels as one text: `region=eu;tier=a`.
    fn set_labels(&mut self, text: &str) {
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            match part.split_once('=') {
                Some((key, value)) => self.labels.push((key.trim().to_owned(), value.trim().to_owned())),
                None => {
                    self.wrong.push(format!("label {part:?}: expected KEY=VALUE, several separated by `;`"));
                }
            }
        }
    }

    fn host(mut self) -> Result<NewHost, Vec<String>> {
        let mut wrong = std::mem::take(&mut self.wrong);
        let mut told = |why: String| wrong.push(why);
        let name = match self.fields.get("name") {
            Some(name) => name.parse().map_err(|error| told(format!("{error}"))).ok(),
            None => {
                told("name is missing".to_owned());
                None
            }
        };
        let port = self.fields.get("port").and_then(|text| match text.parse::<u16>() {
            Ok(port) if port > 0 => Some(port),
            Ok(_) | Err(_) => {
                told(format!("port {text:?} is not a number from 1 to 65535"));
                None
            }
        });
        let user = self
            .fields
            .get("user")
            .and_then(|text| text.parse().map_err(|error| told(format!("{error}"))).ok());
        let host_key = self
            .fields
            .get("host_key")
            .and_then(|text| text.parse().map_err(|error| told(format!("{error}"))).ok());
        let mut labels = BTreeMap::new();
        for (key, value) in self.labels {
            if labels.insert(key.clone(), value).is_some() {
                told(format!("label {key:?} is given twice"));
            }
        }
        let Some(name) = name else { return Err(wrong) };
        let address = self.fields.remove("address").unwrap_or_else(|| format!("{name}"));
        let host = NewHost { name, address, port, user, host_key, labels, settings: BTreeMap::new() };
        if let Err(error) = host.check() {
            wrong.push(error.to_string());
        }
        if wrong.is_empty() { Ok(host) } else { Err(wrong) }
    }
}

type Rows = Result<Vec<Row>, (usize, String)>;

fn unknown(field: &str) -> String {
    let near = nearest(field, FIELDS.into_iter()).map(|near| format!("did you mean {near}?"));
    format!(
        "there is no field {field:?}; {}",
        near.unwrap_or_else(|| format!("the fields are {}", FIELDS.join(", ")))
    )
}

fn csv(text: &str) -> Rows {
    let mut reader =
        csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(text.as_bytes());
    let told = |error: csv::Error| {
        let line = error.position().map_or(1, csv::Position::line);
        (usize::try_from(line).unwrap_or(usize::MAX), error.to_string())
    };
    let header = reader.headers().map_err(told)?.clone();
    for (place, name) in header.iter().enumerate() {
        if !FIELDS.contains(&name) {
            return Err((1, unknown(name)));
        }
        if header.iter().take(place).any(|before| before == name) {
            return Err((1, format!("the column {name:?} is there twice")));
        }
    }
    if !header.iter().any(|name| name == "name") {
        return Err((1, format!("the first line must be the header {}", FIELDS.join(","))));
    }
    let mut rows = Vec::new();
    for record in reader.records().take(HOSTS_MAX + 1) {
        let record = record.map_err(told)?;
        let line = record.position().map_or(1, csv::Position::line);
        let mut row = Row::at(usize::try_from(line).unwrap_or(usize::MAX));
        if record.len() != header.len() {
            let (has, expected) = (record.len(), header.len());
            row.wrong.push(format!("has {has} columns, and the header has {expected}"));
        }
        for (name, text) in header.iter().zip(record.iter()) {
            match name {
                "labels" => row.set_labels(text),
                name => row.set(name, text),
            }
        }
        rows.push(row);
    }
    Ok(rows)
}

fn json(text: &str) -> Rows {
    let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| {
        (error.line().max(1), format!("expected a JSON array of hosts: {}", said(&error)))
    })?;
    let mut rows = Vec::new();
    for item in items.into_iter().take(HOSTS_MAX + 1) {
        // The item is a part of the text: where it begins says on which line it stands.
        let start = (item.get().as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
        let mut row = Row::at(line_of(text, &(start..start)));
        match serde_json::from_str(item.get()) {
            Ok(Value::Object(fields)) => {
                fields.into_iter().for_each(|(name, value)| json_field(&mut row, &name, &value));
            }
            Ok(_) => row.wrong.push("expected an object".to_owned()),
            Err(error) => row.wrong.push(said(&error)),
        }
        rows.push(row);
    }
    Ok(rows)
}

/// The error without its place, which is told in front of it.
fn said(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

fn json_field(row: &mut Row, name: &str, value: &Value) {
    match (name, value) {
        (name, _) if !FIELDS.contains(&name) => row.wrong.push(unknown(name)),
        (_, Value::Null) => {}
        ("labels", Value::String(text)) => row.set_labels(text),
        ("labels", Value::Object(labels)) => {
            for (key, value) in labels {
                match value {
                    Value::String(text) => row.labels.push((key.clone(), text.clone())),
                    Value::Number(_) | Value::Bool(_) => row.labels.push((key.clone(), value.to_string())),
                    Value::Null | Value::Array(_) | Value::Object(_) => {
                        row.wrong.push(format!("label {key:?}: expected a text"));
                    }
                }
            }
        }
        ("labels", _) => row.wrong.push("labels: expected an object or a text".to_owned()),
        ("port", Value::Number(number)) => row.set("port", &number.to_string()),
        (name, Value::String(text)) => row.set(name, text),
        (name, _) => row.wrong.push(format!("{name}: expected a text, found {value}")),
    }
}

fn toml(text: &str) -> Rows {
    let document = ImDocument::parse(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(text, &span));
        (line, format!("is not TOML: {}", error.message().split_whitespace().collect::<Vec<_>>().join(" ")))
    })?;
    if let Some((key, _)) = document.iter().find(|(key, _)| *key != "hosts") {
        return Err((1, format!("there is {key:?}; expected [[hosts]] only")));
    }
    let Some(tables) = document.get("hosts").and_then(Item::as_array_of_tables) else {
        return Err((1, "expected [[hosts]]".to_owned()));
    };
    let mut rows = Vec::new();
    for table in tables.iter().take(HOSTS_MAX + 1) {
        let line = table.span().map_or(1, |span| line_of(text, &span));
        let mut row = Row::at(line);
        for (name, item) in table {
            toml_field(&mut row, name, item);
        }
        rows.push(row);
    }
    Ok(rows)
}

fn toml_field(row: &mut Row, name: &str, item: &Item) {
    if !FIELDS.contains(&name) {
        return row.wrong.push(unknown(name));
    }
    if let ("labels", Some(table)) = (name, item.as_table_like()) {
        for (key, value) in table.iter() {
            match (value.as_str(), value.as_integer(), value.as_bool()) {
                (Some(text), ..) => row.labels.push((key.to_owned(), text.to_owned())),
                (_, Some(number), _) => row.labels.push((key.to_owned(), number.to_string())),
                (_, _, Some(flag)) => row.labels.push((key.to_owned(), flag.to_string())),
                (None, None, None) => row.wrong.push(format!("label {key:?}: expected a text")),
            }
        }
        return;
    }
    match (name, item.as_str(), item.as_integer()) {
        ("labels", Some(text), _) => row.set_labels(text),
        ("labels", None, _) => row.wrong.push("labels: expected a table or a text".to_owned()),
        ("port", None, Some(number)) => row.set("port", &number.to_string()),
        (name, Some(text), _) => row.set(name, text),
        (name, None, _) => row.wrong.push(format!("{name}: expected a text, found {}", item.type_name())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CSV: &str = "name,address,port,user,labels\nweb-1,10.0.0.1,22,deploy,region=eu;tier=a\nweb-2,,,,\n";
    const JSON: &str = r#"[{"name":"web-1","address":"10.0.0.1","port":22,"user":"deploy",
        "labels":{"region":"eu","tier":"a"}}, {"name":"web-2"}]"#;
    const TOML: &str = "[[hosts]]\nname = \"web-1\"\naddress = \"10.0.0.1\"\nport = 22\nuser = \"deploy\"\n\
                        labels = { region = \"eu\", tier = \"a\" }\n[[hosts]]\nname = \"web-2\"\n";

    #[test]
    fn the_three_formats_say_the_same() {
        let csv = read(CSV, Format::Csv, "f").unwrap();
        assert_eq!(csv.len(), 2);
        assert_eq!((csv[0].port, csv[0].labels.len(), csv[1].address.as_str()), (Some(22), 2, "web-2"));
        assert_eq!(read(JSON, Format::Json, "f").unwrap(), csv);
        assert_eq!(read(TOML, Format::Toml, "f").unwrap(), csv);
        let some = "labels,name\n,web-2\nregion=eu ; tier=a,web-1\n";
        assert_eq!(read(some, Format::Csv, "f").unwrap()[1].labels, csv[0].labels);
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
        let pinned = read(&format!("name,host_key\nweb-1,{key} root@web-1\n"), Format::Csv, "f").unwrap();
        assert_eq!(pinned[0].host_key.as_ref().unwrap().as_str(), key);
        let bad = read("name,host_key\nweb-1,SHA256:x\n", Format::Csv, "f").unwrap_err();
        assert!(bad[0].starts_with("f:2: host key \"SHA256:x\" is not an algorithm"), "{bad:?}");
    }

    #[test]
    fn every_fault_is_told_with_its_line() {
        let text = "name,address,port,user,labels\n\
                    web-1,10.0.0.1,70000,Deploy,x\n\
                    -bad,10.0.0.2,,,\n\
                    web-2,a b,,,\n\
                    web-3,x,22\n\
                    web-4,,,,a=1;a=2\n\
                    ,x,,,\n\
                    web-4,,,,\n\
                    web-5,-oProxyCommand=x,,,\n\
                    web-4,,,,\n";
        insta::assert_snapshot!(read(text, Format::Csv, "hosts.csv").unwrap_err().join("\n"));
    }

    #[test]
    fn lines_of_json_and_toml_are_those_of_the_file() {
        let json = "[\n  {\"name\": \"a b\"},\n  {\"name\": \"x\", \"prot\": 22, \"labels\": 5},\n  7, {\"port\": true}\n]";
        insta::assert_snapshot!(read(json, Format::Json, "f").unwrap_err().join("\n"), @r#"
        f:2: host name "a b" has ' '; allowed are letters, digits, `.`, `_` and `-`
        f:3: labels: expected an object or a text
        f:3: there is no field "prot"; did you mean port?
        f:4: expected an object
        f:4: name is missing
        f:4: port: expected a text, found true
        f:4: name is missing
        "#);
        let toml = "[[hosts]]\nname = \"a b\"\n\n[[hosts]]\nname = 5\nprot = 1\nlabels = 3\n";
        insta::assert_snapshot!(read(toml, Format::Toml, "f").unwrap_err().join("\n"), @r#"
        f:1: host name "a b" has ' '; allowed are letters, digits, `.`, `_` and `-`
        f:4: name: expected a text, found integer
        f:4: there is no field "prot"; did you mean port?
        f:4: labels: expected a table or a text
        f:4: name is missing
        "#);
    }

    #[test]
    fn what_is_no_list_of_hosts_is_told() {
        for (text, format, said) in [
            (
                "",
                Format::Csv,
                "f:1: the first line must be the header name,address,port,user,host_key,labels",
            ),
            ("name,adress\n", Format::Csv, "f:1: there is no field \"adress\"; did you mean address?"),
            (
                "web-1,10.0.0.1\n",
                Format::Csv,
                "f:1: there is no field \"web-1\"; the fields are name, address,",
            ),
            ("name,name\n", Format::Csv, "f:1: the column \"name\" is there twice"),
            ("{}", Format::Json, "f:1: expected a JSON array of hosts"),
            ("[{]", Format::Json, "f:1: expected a JSON array of hosts"),
            ("x = 1", Format::Toml, "f:1: there is \"x\"; expected [[hosts]] only"),
            ("hosts = 1", Format::Toml, "f:1: expected [[hosts]]"),
            ("\nhosts = [", Format::Toml, "f:2: is not TOML"),
        ] {
            let wrong = read(text, format, "f").unwrap_err();
            assert!(wrong[0].starts_with(said), "{text:?}: {wrong:?}");
        }
    }
}
