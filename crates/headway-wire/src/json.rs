//! JSON as we write it: one flat object of texts, numbers and lists of texts.

use std::fmt::Write as _;

/// An object under way.
pub(crate) struct Object(String);

impl Object {
    pub(crate) fn new() -> Object {
        Object(String::from("{"))
    }

    fn name(&mut self, name: &str) {
        if self.0.len() > 1 {
            self.0.push_str(", ");
        }
        self.quote(name);
        self.0.push_str(": ");
    }

    fn quote(&mut self, text: &str) {
        self.0.push('"');
        for character in text.chars() {
            match character {
                '"' => self.0.push_str("\\\""),
                '\\' => self.0.push_str("\\\\"),
                '\n' => self.0.push_str("\\n"),
                c if c < ' ' => write!(self.0, "\\u{:04x}", c as u32).expect("a String takes every text"),
                c => self.0.push(c),
            }
        }
        self.0.push('"');
    }

    pub(crate) fn text(mut self, name: &str, text: &str) -> Object {
        self.name(name);
        self.quote(text);
        self
    }

    pub(crate) fn integer(mut self, name: &str, number: u64) -> Object {
        self.name(name);
        write!(self.0, "{number}").expect("a String takes every text");
        self
    }

    /// A finite number: JSON has no others, and no level or use is one.
    pub(crate) fn number(mut self, name: &str, number: f64) -> Object {
        self.name(name);
        write!(self.0, "{number}").expect("a String takes every text");
        self
    }

    pub(crate) fn texts(mut self, name: &str, texts: &[&str]) -> Object {
        self.name(name);
        self.0.push('[');
        for (i, text) in texts.iter().enumerate() {
            if i > 0 {
                self.0.push_str(", ");
            }
            self.quote(text);
        }
        self.0.push(']');
        self
    }

    pub(crate) fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped_where_json_asks_for_it() {
        let object = Object::new().text("a\"b", "c\\d\n\u{1}é").integer("n", u64::MAX).number("x", 2.5);
        let expected = r#"{"a\"b": "c\\d\n\u0001é", "n": 18446744073709551615, "x": 2.5, "l": ["p", "q"], "e": []}"#;
        assert_eq!(expected, object.texts("l", &["p", "q"]).texts("e", &[]).end());
        assert_eq!("{}", Object::new().end());
    }
}
