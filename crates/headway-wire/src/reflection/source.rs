//! From the text of a `.proto` file to its descriptor: as much of proto3 as our own files use, which are built in. What it
//! does not know it does not pass over: it panics, and the tests read every file there is.

use super::descriptors::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
    MessageOptions, MethodDescriptorProto, Named, ServiceDescriptorProto,
};

const SCALARS: [(&str, i32); 9] = [
    ("double", 1),
    ("int64", 3),
    ("uint64", 4),
    ("int32", 5),
    ("bool", 8),
    ("string", 9),
    ("bytes", 12),
    ("uint32", 13),
    ("sint64", 18),
];
const MESSAGE: i32 = 11;
const ENUM: i32 = 14;
const ONE: i32 = 1;
const MANY: i32 = 3;

/// The descriptor of a file of ours. A type is a scalar, a bare name of the file's own, or a full name with its package.
pub(super) fn file(name: &str, text: &str) -> FileDescriptorProto {
    let mut reading = Reading { words: words(text), at: 0, package: String::new(), enums: vec![] };
    reading.enums = reading.words.windows(2).filter(|pair| pair[0] == "enum").map(|pair| pair[1].to_owned()).collect();
    let mut file = FileDescriptorProto { name: name.to_owned(), ..FileDescriptorProto::default() };
    while let Some(word) = reading.next() {
        match word {
            "syntax" => file.syntax = reading.quoted_after("="),
            "package" => {
                reading.package = reading.word().to_owned();
                file.package.clone_from(&reading.package);
                reading.expect(";");
            }
            "import" => {
                let import = unquoted(reading.word());
                file.dependency.push(import);
                reading.expect(";");
            }
            "message" => file.message_type.push(reading.message(&[])),
            "enum" => file.enum_type.push(reading.enumeration()),
            "service" => file.service.push(reading.service()),
            other => panic!("{name}: {other:?} begins nothing that is known"),
        }
    }
    file
}

/// Names and quoted texts as they are, every other character a word of its own; comments are left out.
fn words(text: &str) -> Vec<&str> {
    let mut words = vec![];
    for line in text.lines() {
        let mut rest = line.split("//").next().unwrap_or_default().trim_start();
        while let Some(first) = rest.chars().next() {
            let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '"' | '/');
            let length = if is_name(first) { rest.find(|c| !is_name(c)).unwrap_or(rest.len()) } else { 1 };
            let (word, after) = rest.split_at(length);
            words.push(word);
            rest = after.trim_start();
        }
    }
    words
}

fn unquoted(word: &str) -> String {
    word.trim_matches('"').to_owned()
}

struct Reading<'a> {
    words: Vec<&'a str>,
    at: usize,
    package: String,
    /// The names of the file's enumerations, nested ones too.
    enums: Vec<String>,
}

impl<'a> Reading<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let word = self.words.get(self.at).copied();
        self.at += 1;
        word
    }

    fn word(&mut self) -> &'a str {
        self.next().expect("a file of ours ends where it may")
    }

    fn expect(&mut self, expected: &str) {
        assert_eq!(expected, self.word(), "{}", self.package);
    }

    /// Whether the next word is this one; then it is read.
    fn skips(&mut self, word: &str) -> bool {
        let is_next = self.words.get(self.at) == Some(&word);
        self.at += usize::from(is_next);
        is_next
    }

    fn quoted_after(&mut self, sign: &str) -> String {
        self.expect(sign);
        let text = unquoted(self.word());
        self.expect(";");
        text
    }

    fn number(&mut self) -> i32 {
        self.expect("=");
        let number = self.word().parse().expect("a number of ours is one");
        self.expect(";");
        number
    }

    fn full(&self, name: &str) -> String {
        if name.contains('.') { format!(".{name}") } else { format!(".{}.{name}", self.package) }
    }

    fn message(&mut self, within: &[&str]) -> DescriptorProto {
        let name = self.word();
        let path: Vec<&str> = within.iter().copied().chain([name]).collect();
        let mut message = DescriptorProto { name: name.to_owned(), ..DescriptorProto::default() };
        self.expect("{");
        while !self.skips("}") {
            if self.skips("message") {
                let nested = self.message(&path);
                message.nested_type.push(nested);
            } else if self.skips("enum") {
                message.enum_type.push(self.enumeration());
            } else if self.skips("oneof") {
                let index = message.oneof_decl.len() as i32;
                message.oneof_decl.push(Named { name: self.word().to_owned() });
                self.expect("{");
                while !self.skips("}") {
                    let field = FieldDescriptorProto { oneof_index: Some(index), ..self.field(ONE) };
                    message.field.push(field);
                }
            } else if self.skips("map") {
                self.map(&path, &mut message);
            } else {
                let (is_repeated, is_optional) = (self.skips("repeated"), self.skips("optional"));
                let mut field = self.field(if is_repeated { MANY } else { ONE });
                field.proto3_optional = is_optional;
                message.field.push(field);
            }
        }
        // What is optional stands in a oneof of its own, after those that were written.
        for field in message.field.iter_mut().filter(|field| field.proto3_optional) {
            field.oneof_index = Some(message.oneof_decl.len() as i32);
            message.oneof_decl.push(Named { name: format!("_{}", field.name) });
        }
        message
    }

    fn field(&mut self, label: i32) -> FieldDescriptorProto {
        let kind = self.word();
        let name = self.word().to_owned();
        let number = self.number();
        FieldDescriptorProto { name, number, label, ..self.typed(kind) }
    }

    fn typed(&self, kind: &str) -> FieldDescriptorProto {
        if let Some((_, scalar)) = SCALARS.iter().find(|(name, _)| *name == kind) {
            return FieldDescriptorProto { r#type: *scalar, ..FieldDescriptorProto::default() };
        }
        let last = kind.rsplit('.').next().unwrap_or(kind);
        let r#type = if self.enums.iter().any(|name| name == last) { ENUM } else { MESSAGE };
        FieldDescriptorProto { r#type, type_name: self.full(kind), ..FieldDescriptorProto::default() }
    }

    /// A map is a list of entries, each a message of its own. Its field is named by one word here.
    fn map(&mut self, path: &[&str], message: &mut DescriptorProto) {
        self.expect("<");
        let key = self.word();
        self.expect(",");
        let value = self.word();
        self.expect(">");
        let name = self.word().to_owned();
        let entry = format!("{}{}Entry", name[..1].to_uppercase(), &name[1..]);
        let one = |name: &str, number| FieldDescriptorProto {
            name: name.to_owned(),
            number,
            label: ONE,
            ..self.typed(if number == 1 { key } else { value })
        };
        message.nested_type.push(DescriptorProto {
            name: entry.clone(),
            field: vec![one("key", 1), one("value", 2)],
            options: Some(MessageOptions { map_entry: true }),
            ..DescriptorProto::default()
        });
        let type_name = format!(".{}.{}.{entry}", self.package, path.join("."));
        let number = self.number();
        let field =
            FieldDescriptorProto { name, number, label: MANY, r#type: MESSAGE, type_name, ..Default::default() };
        message.field.push(field);
    }

    fn enumeration(&mut self) -> EnumDescriptorProto {
        let name = self.word().to_owned();
        let mut value = vec![];
        self.expect("{");
        while !self.skips("}") {
            let name = self.word().to_owned();
            value.push(EnumValueDescriptorProto { name, number: Some(self.number()) });
        }
        EnumDescriptorProto { name, value }
    }

    fn service(&mut self) -> ServiceDescriptorProto {
        let name = self.word().to_owned();
        let mut method = vec![];
        self.expect("{");
        while !self.skips("}") {
            self.expect("rpc");
            let name = self.word().to_owned();
            let (client_streaming, input_type) = self.message_of_a_call();
            self.expect("returns");
            let (server_streaming, output_type) = self.message_of_a_call();
            self.expect(";");
            method.push(MethodDescriptorProto { name, input_type, output_type, client_streaming, server_streaming });
        }
        ServiceDescriptorProto { name, method }
    }

    fn message_of_a_call(&mut self) -> (bool, String) {
        self.expect("(");
        let is_streaming = self.skips("stream");
        let name = self.word();
        self.expect(")");
        (is_streaming, self.full(name))
    }
}
