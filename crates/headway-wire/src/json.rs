//! JSON as we write it: one flat object of texts, numbers and lists of texts.

use std::fmt::Write as _;

/// As long as most documents are.
const USUAL_BYTES: usize = 512;

/// A number in digits; formatting it takes longer than all that stands around it.
pub(crate) fn push_decimal(text: &mut String, mut number: u64) {
    let (mut digits, mut start) = ([0; 20], 20);
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    text.extend(digits[start..].iter().map(|digit| *digit as char));
}

/// An object under way.
pub(crate) struct Object(String);

impl Object {
    pub(crate) fn new() -> Object {
        let mut text = String::with_capacity(USUAL_BYTES);
        text.push('{');
        Object(text)
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
        if text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
            self.0.push_str(text);
            self.0.push('"');
            return;
        }
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
        push_decimal(&mut self.0, number);
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
    fn numbers_are_said_in_all_their_digits() {
        for number in [0, 7, 10, 99, 100, 1_234_567_890, u64::MAX] {
            let mut text = String::new();
            push_decimal(&mut text, number);
            assert_eq!(number.to_string(), text);
        }
    }

    #[test]
    fn texts_are_escaped_where_json_asks_for_it() {
        let object = Object::new().text("a\"b", "c\\d\n\u{1}é").integer("n", u64::MAX).number("x", 2.5);
        let expected = r#"{"a\"b": "c\\d\n\u0001é", "n": 18446744073709551615, "x": 2.5, "l": ["p", "q"], "e": []}"#;
        assert_eq!(expected, object.texts("l", &["p", "q"]).texts("e", &[]).end());
        assert_eq!("{}", Object::new().end());
    }
}
