//! The tree of a file in opam's format, and where in the file each piece was.

/// A range of bytes in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The first byte, counted from 0.
    pub start: u32,
    /// The byte after the last one.
    pub end: u32,
}

/// A whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct File {
    /// Fields and sections, as they follow each other.
    pub items: Vec<Item>,
}

/// What a file or section is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// `name: value`
    Field(Field),
    /// `kind "name" { … }`
    Section(Section),
}

/// `name: value`. Two fields are equal wherever they stand.
#[derive(Clone, Debug)]
pub struct Field {
    /// The word before the colon.
    pub name: String,
    /// What follows the colon.
    pub value: Value,
    /// Where the name stands.
    pub span: Span,
}

/// `kind "name" { … }`. Two sections are equal wherever they stand.
#[derive(Clone, Debug)]
pub struct Section {
    /// The first word, such as `package` or `url`.
    pub kind: String,
    /// The string after it, if there is one.
    pub name: Option<String>,
    /// Fields and sections in it.
    pub items: Vec<Item>,
    /// Where the first word stands.
    pub span: Span,
}

/// A value and where it stands. Two values are equal wherever they stand.
#[derive(Clone, Debug)]
pub struct Value {
    /// The value.
    pub kind: ValueKind,
    /// Where it stands.
    pub span: Span,
}

/// The shapes of values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// `true`
    Bool(bool),
    /// `42`
    Int(i64),
    /// `"text"` or `"""text"""`, without its quotes and escapes.
    String(String),
    /// `name`
    Ident(String),
    /// `[ … ]`
    List(Vec<Value>),
    /// `( … )`
    Group(Vec<Value>),
    /// `value { … }`
    Option {
        /// What stands before the brace.
        value: Box<Value>,
        /// What stands in the braces.
        constraints: Vec<Value>,
    },
    /// `left >= right`
    Relation {
        /// The operator.
        operator: RelationOperator,
        /// What stands before it.
        left: Box<Value>,
        /// What stands behind it.
        right: Box<Value>,
    },
    /// `>= value`
    Constraint {
        /// The operator.
        operator: RelationOperator,
        /// What stands behind it.
        value: Box<Value>,
    },
    /// `a & b & c`: at least two operands, so that a long formula is no deep tree.
    Logic {
        /// The operator between all of them.
        operator: LogicOperator,
        /// What it stands between.
        operands: Vec<Value>,
    },
    /// `!value`
    Prefix {
        /// The operator.
        operator: PrefixOperator,
        /// What stands behind it.
        value: Box<Value>,
    },
    /// `PATH += value`
    Environment {
        /// The operator.
        operator: EnvironmentOperator,
        /// What stands before it.
        left: Box<Value>,
        /// What stands behind it.
        right: Box<Value>,
    },
}

/// Operators that compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelationOperator {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `~`
    Matches,
}

impl RelationOperator {
    /// The operator as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Matches => "~",
        }
    }
}

/// Operators of formulas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogicOperator {
    /// `&`, which binds tighter.
    And,
    /// `|`
    Or,
}

impl LogicOperator {
    /// The operator as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::And => "&",
            Self::Or => "|",
        }
    }
}

/// Operators before a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrefixOperator {
    /// `!`
    Not,
    /// `?`
    Defined,
}

impl PrefixOperator {
    /// The operator as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Not => "!",
            Self::Defined => "?",
        }
    }
}

/// Operators that change a variable of the environment. `=` is a [`RelationOperator`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnvironmentOperator {
    /// `+=`
    Prepend,
    /// `:=`
    PrependColon,
    /// `=+`
    Append,
    /// `=:`
    AppendColon,
    /// `=+=`
    Replace,
    /// `=:=`
    ReplaceColon,
}

impl EnvironmentOperator {
    /// The operator as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prepend => "+=",
            Self::PrependColon => ":=",
            Self::Append => "=+",
            Self::AppendColon => "=:",
            Self::Replace => "=+=",
            Self::ReplaceColon => "=:=",
        }
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

impl Eq for Value {}

impl PartialEq for Field {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.value == other.value
    }
}

impl Eq for Field {}

impl PartialEq for Section {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.name == other.name && self.items == other.items
    }
}

impl Eq for Section {}

impl From<ValueKind> for Value {
    fn from(kind: ValueKind) -> Self {
        Self { kind, span: Span::default() }
    }
}

impl Value {
    /// The text of a string.
    pub fn as_string(&self) -> Option<&str> {
        match &self.kind {
            ValueKind::String(text) => Some(text),
            ValueKind::Bool(_)
            | ValueKind::Int(_)
            | ValueKind::Ident(_)
            | ValueKind::List(_)
            | ValueKind::Group(_)
            | ValueKind::Option { .. }
            | ValueKind::Relation { .. }
            | ValueKind::Constraint { .. }
            | ValueKind::Logic { .. }
            | ValueKind::Prefix { .. }
            | ValueKind::Environment { .. } => None,
        }
    }

    /// The elements of a list; any other value is a list of itself, as opam writes lists of one element without brackets.
    pub fn elements(&self) -> &[Self] {
        match &self.kind {
            ValueKind::List(elements) => elements,
            ValueKind::Bool(_)
            | ValueKind::Int(_)
            | ValueKind::String(_)
            | ValueKind::Ident(_)
            | ValueKind::Group(_)
            | ValueKind::Option { .. }
            | ValueKind::Relation { .. }
            | ValueKind::Constraint { .. }
            | ValueKind::Logic { .. }
            | ValueKind::Prefix { .. }
            | ValueKind::Environment { .. } => std::slice::from_ref(self),
        }
    }

    /// The value without the `{ … }` behind it.
    pub fn unconstrained(&self) -> &Self {
        match &self.kind {
            ValueKind::Option { value, .. } => value,
            ValueKind::Bool(_)
            | ValueKind::Int(_)
            | ValueKind::String(_)
            | ValueKind::Ident(_)
            | ValueKind::List(_)
            | ValueKind::Group(_)
            | ValueKind::Relation { .. }
            | ValueKind::Constraint { .. }
            | ValueKind::Logic { .. }
            | ValueKind::Prefix { .. }
            | ValueKind::Environment { .. } => self,
        }
    }

    /// Whether a formula names `package`, whatever the conditions in braces are.
    pub fn mentions(&self, package: &str) -> bool {
        match &self.kind {
            ValueKind::String(text) => text == package,
            ValueKind::List(values) | ValueKind::Group(values) | ValueKind::Logic { operands: values, .. } => {
                values.iter().any(|value| value.mentions(package))
            }
            ValueKind::Option { value, .. } | ValueKind::Prefix { value, .. } => value.mentions(package),
            ValueKind::Bool(_)
            | ValueKind::Int(_)
            | ValueKind::Ident(_)
            | ValueKind::Relation { .. }
            | ValueKind::Constraint { .. }
            | ValueKind::Environment { .. } => false,
        }
    }
}
