//! Steps through a tree: what JSON pointers and FHIR element paths both become.

use tsunagi_core::document::Node;
use tsunagi_core::fault::Bilingual;

/// A way from the root of a tree to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TreePath {
    pub(super) steps: Vec<Step>,
}

/// Into a member of an object, and if that is a list, into some of its elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) name: String,
    pub(super) pick: Option<Pick>,
}

/// Which elements of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pick {
    /// Every element.
    Every,
    /// The element at a position, from 0.
    Index(usize),
    /// The elements for which all conditions hold.
    Where(Vec<Condition>),
}

/// Somewhere below the element stands this value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) path: TreePath,
    pub(super) value: String,
}

impl TreePath {
    /// The names of the members on the way.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().map(|step| step.name.as_str())
    }

    /// A path of these steps. The bound keeps every walk along it, which is a recursion, off the end of the stack.
    pub(super) fn new(steps: Vec<Step>) -> Result<Self, Bilingual> {
        if steps.len() > MOST_STEPS {
            return Err(Bilingual::new(
                format!("パスは{MOST_STEPS}段までです"),
                format!("a path has at most {MOST_STEPS} steps"),
            ));
        }
        Ok(Self { steps })
    }

    /// Calls `see` with each node at this path that is not null, until it returns true. Returns whether it did.
    pub(crate) fn visit<'a>(&self, root: &'a Node, see: &mut dyn FnMut(&'a Node) -> bool) -> bool {
        visit(&self.steps, root, see)
    }

    /// Puts a text, or null for none, in place of all that stands at this path.
    pub(super) fn blank(&self, root: &mut Node, instead: &str) {
        blank(&self.steps, root, instead);
    }

    /// Puts a value at this path and makes what is missing on the way, with the values that conditions ask for.
    pub(crate) fn put(&self, root: &mut Node, value: Node) {
        put(&self.steps, root, value, None);
    }

    /// Puts many values: each in an element of its own at the step that repeats, or all in one list at the end.
    pub(crate) fn put_many(&self, root: &mut Node, values: Vec<Node>) {
        match self.repeating_step() {
            Some(at) => {
                for value in values {
                    put(&self.steps, root, value, Some(at));
                }
            }
            None => put(&self.steps, root, Node::List(values), None),
        }
    }

    /// True if the other path goes on from here, or ends here as well.
    pub(crate) fn begins(&self, other: &Self) -> bool {
        self.steps.len() <= other.steps.len()
            && self.steps.iter().zip(&other.steps).all(|(one, other)| one.is_same(other))
    }

    /// The step whose elements hold one value each: the last `[*]`, else the last with conditions.
    fn repeating_step(&self) -> Option<usize> {
        let last = |wanted: fn(&Pick) -> bool| self.steps.iter().rposition(|s| s.pick.as_ref().is_some_and(wanted));
        last(|pick| matches!(pick, Pick::Every)).or_else(|| last(|pick| matches!(pick, Pick::Where(_))))
    }
}

impl Step {
    /// True for the same elements, in whatever order the conditions are written.
    fn is_same(&self, other: &Self) -> bool {
        let holds_all = |some: &[Condition], all: &[Condition]| some.iter().all(|one| all.contains(one));
        self.name == other.name
            && match (&self.pick, &other.pick) {
                (Some(Pick::Where(some)), Some(Pick::Where(others))) => {
                    holds_all(some, others) && holds_all(others, some)
                }
                (pick, other) => pick == other,
            }
    }
}

impl Pick {
    fn takes(&self, at: usize, element: &Node) -> bool {
        match self {
            Self::Every => true,
            Self::Index(index) => *index == at,
            Self::Where(conditions) => conditions.iter().all(|condition| condition.holds(element)),
        }
    }
}

impl Condition {
    fn holds(&self, element: &Node) -> bool {
        self.path.visit(element, &mut |node| match node {
            Node::Text(text) | Node::Number(text) => *text == self.value,
            Node::Bool(flag) => self.value == if *flag { "true" } else { "false" },
            Node::List(_) | Node::Map(_) | Node::Null => false,
        })
    }

    fn node(&self) -> Node {
        match self.value.as_str() {
            "true" => Node::Bool(true),
            "false" => Node::Bool(false),
            text => Node::Text(text.to_owned()),
        }
    }
}

fn visit<'a>(steps: &[Step], node: &'a Node, see: &mut dyn FnMut(&'a Node) -> bool) -> bool {
    let Some((step, rest)) = steps.split_first() else {
        return !matches!(node, Node::Null) && see(node);
    };
    let Some(member) = node.member(&step.name) else { return false };
    let Some(pick) = &step.pick else { return visit(rest, member, see) };
    let Node::List(elements) = member else { return false };
    elements.iter().enumerate().any(|(at, element)| pick.takes(at, element) && visit(rest, element, see))
}

fn blank(steps: &[Step], node: &mut Node, instead: &str) {
    let Some((step, rest)) = steps.split_first() else {
        if *node != Node::Null {
            *node = if instead.is_empty() { Node::Null } else { Node::Text(instead.to_owned()) };
        }
        return;
    };
    let Some(member) = member_mut(node, &step.name) else { return };
    let Some(pick) = &step.pick else { return blank(rest, member, instead) };
    let Node::List(elements) = member else { return };
    for (at, element) in elements.iter_mut().enumerate() {
        if pick.takes(at, element) {
            blank(rest, element, instead);
        }
    }
}

/// `fresh` is the step, counted from here, at which a new element is made although one may fit.
fn put(steps: &[Step], node: &mut Node, value: Node, fresh: Option<usize>) {
    let Some((step, rest)) = steps.split_first() else {
        *node = value;
        return;
    };
    let below = fresh.and_then(|at| at.checked_sub(1));
    let Some(member) = member_or_new(node, &step.name) else { return };
    let Some(pick) = &step.pick else { return put(rest, member, value, below) };
    if let Some(element) = element_or_new(member, pick, fresh == Some(0)) {
        put(rest, element, value, below);
    }
}

fn member_mut<'a>(node: &'a mut Node, name: &str) -> Option<&'a mut Node> {
    match node {
        Node::Map(members) => members.iter_mut().find(|(key, _)| key == name).map(|(_, node)| node),
        _ => None,
    }
}

fn member_or_new<'a>(node: &'a mut Node, name: &str) -> Option<&'a mut Node> {
    if !matches!(node, Node::Map(_)) {
        *node = Node::Map(Vec::new());
    }
    let Node::Map(members) = node else { return None };
    let at = match members.iter().position(|(key, _)| key == name) {
        Some(at) => at,
        None => {
            members.push((name.to_owned(), Node::Null));
            members.len() - 1
        }
    };
    members.get_mut(at).map(|(_, node)| node)
}

fn element_or_new<'a>(node: &'a mut Node, pick: &Pick, fresh: bool) -> Option<&'a mut Node> {
    if !matches!(node, Node::List(_)) {
        *node = Node::List(Vec::new());
    }
    let Node::List(elements) = node else { return None };
    let found = elements.iter().enumerate().position(|(at, element)| !fresh && pick.takes(at, element));
    let at = match found {
        Some(at) => at,
        None => {
            let mut element = Node::Null;
            if let Pick::Where(conditions) = pick {
                for condition in conditions {
                    condition.path.put(&mut element, condition.node());
                }
            }
            elements.push(element);
            elements.len() - 1
        }
    };
    elements.get_mut(at)
}

/// More than any form here has, and few enough that what is written is not nested deeper than a reader of JSON takes.
const MOST_STEPS: usize = 30;
