use tsunagi_core::document::Node;

use super::*;

fn text(text: &str) -> Node {
    Node::Text(text.to_owned())
}

fn map(members: &[(&str, Node)]) -> Node {
    Node::Map(members.iter().map(|(name, node)| ((*name).to_owned(), node.clone())).collect())
}

fn all<'a>(path: &str, root: &'a Node) -> Vec<&'a Node> {
    let mut found = Vec::new();
    parse(path).expect("a path").visit(root, &mut |node| {
        found.push(node);
        false
    });
    found
}

const IDE: &str =
    "name[extension[url=http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation].valueCode=IDE]";
const SYL: &str =
    "name[extension[url=http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation].valueCode=SYL]";

#[test]
fn writing_makes_the_element_that_its_discriminator_names() {
    let mut root = Node::Null;
    parse(&format!("{IDE}.text")).expect("a path").put(&mut root, text("愛知花子"));
    parse(&format!("{SYL}.text")).expect("a path").put(&mut root, text("アイチハナコ"));
    parse(&format!("{IDE}.use")).expect("a path").put(&mut root, text("official"));
    let name = |code: &str, members: &[(&str, Node)]| {
        let url = text("http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation");
        let extension = Node::List(vec![map(&[("url", url), ("valueCode", text(code))])]);
        let mut all = vec![("extension", extension)];
        all.extend(members.iter().cloned());
        map(&all)
    };
    let kanji = name("IDE", &[("text", text("愛知花子")), ("use", text("official"))]);
    let kana = name("SYL", &[("text", text("アイチハナコ"))]);
    assert_eq!(root, map(&[("name", Node::List(vec![kanji, kana]))]));
    assert_eq!(all(&format!("{SYL}.text"), &root), [&text("アイチハナコ")]);
}

#[test]
fn several_conditions_are_about_one_element() {
    let coding = |system: &str, code: &str| map(&[("system", text(system)), ("code", text(code))]);
    let root = map(&[("coding", Node::List(vec![coding("a", "1"), coding("b", "2"), coding("a", "2")]))]);
    assert_eq!(all("coding[system=a][code=2].code", &root).len(), 1);
    assert_eq!(all("coding[system=a].code", &root), [&text("1"), &text("2")]);
    assert_eq!(all("coding[0].code", &root), [&text("1")]);
    assert_eq!(all("coding[*].code", &root).len(), 3);
    assert!(all("coding[system=c].code", &root).is_empty());
    assert!(all("coding.code", &root).is_empty(), "a list is entered by brackets only");
}

#[test]
fn an_extension_has_a_short_form() {
    let long = parse("patient.extension[url=http://a.b/c].valueDate").expect("a path");
    assert_eq!(parse("patient[ext:http://a.b/c].valueDate").expect("a path"), long);
    assert_eq!(parse("[ext:http://a.b/c].valueDate").expect("a path").steps.len(), 2);
}

#[test]
fn booleans_in_conditions_are_json_booleans() {
    let mut root = Node::Null;
    let path = parse("item[flag=true].x").expect("a path");
    path.put(&mut root, text("1"));
    assert_eq!(all("item[0].flag", &root), [&Node::Bool(true)]);
    assert_eq!(all("item[flag=true].x", &root), [&text("1")]);
}

#[test]
fn many_values_each_get_an_element() {
    let values = || vec![text("1"), text("2")];
    for (path, back) in [
        ("note[*].text", "note[*].text"),
        ("note[kind=a].part.text", "note[kind=a].part.text"),
        ("x[*].note[kind=a].text", "x[*].note[kind=a].text"),
        ("list[*]", "list[*]"),
    ] {
        let mut root = Node::Null;
        parse(path).expect("a path").put_many(&mut root, values());
        assert_eq!(all(back, &root), [&text("1"), &text("2")], "{path}");
    }
    let mut root = Node::Null;
    parse("name[0].given").expect("a path").put_many(&mut root, values());
    assert_eq!(all("name[0].given", &root), [&Node::List(values())]);
}

#[test]
fn blanking_leaves_the_rest() {
    let mut root = Node::Null;
    let secret = parse("identifier[system=a].value").expect("a path");
    secret.put(&mut root, text("1"));
    parse("identifier[system=b].value").expect("a path").put(&mut root, text("2"));
    secret.blank(&mut root, "again");
    assert_eq!(all("identifier[system=a].value", &root), [&text("again")]);
    secret.blank(&mut root, "");
    assert!(all("identifier[system=a].value", &root).is_empty());
    assert_eq!(all("identifier[system=b].value", &root), [&text("2")]);
}

#[test]
fn refuses_what_is_no_path() {
    for path in ["", "a..b", "a[", "a]", "a[b", "a[0][b=c]", "a[]", "a[b=]", "a.[0]", "a b", "a[0]x", "a[*][*]"] {
        assert!(parse(path).is_err(), "{path}");
    }
    assert!(parse("a[b[c[d[e=1]=2]=3]=4]").is_ok());
    let deep = |levels: usize| format!("{}a{}", "a[".repeat(levels), "=1]".repeat(levels));
    for path in [deep(5), deep(100_000), "a.".repeat(100_000) + "a", "a[".repeat(100_000)] {
        assert!(parse(&path).is_err());
    }
}
