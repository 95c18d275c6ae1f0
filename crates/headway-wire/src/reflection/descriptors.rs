//! Files of protobuf as protobuf: the part of `google/protobuf/descriptor.proto` that our own files use.

use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub(super) struct FileDescriptorProto {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) package: String,
    #[prost(string, repeated, tag = "3")]
    pub(super) dependency: Vec<String>,
    #[prost(message, repeated, tag = "4")]
    pub(super) message_type: Vec<DescriptorProto>,
    #[prost(message, repeated, tag = "5")]
    pub(super) enum_type: Vec<EnumDescriptorProto>,
    #[prost(message, repeated, tag = "6")]
    pub(super) service: Vec<ServiceDescriptorProto>,
    #[prost(string, tag = "12")]
    pub(super) syntax: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct DescriptorProto {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(message, repeated, tag = "2")]
    pub(super) field: Vec<FieldDescriptorProto>,
    #[prost(message, repeated, tag = "3")]
    pub(super) nested_type: Vec<DescriptorProto>,
    #[prost(message, repeated, tag = "4")]
    pub(super) enum_type: Vec<EnumDescriptorProto>,
    #[prost(message, optional, tag = "7")]
    pub(super) options: Option<MessageOptions>,
    #[prost(message, repeated, tag = "8")]
    pub(super) oneof_decl: Vec<Named>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct MessageOptions {
    #[prost(bool, tag = "7")]
    pub(super) map_entry: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct FieldDescriptorProto {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(int32, tag = "3")]
    pub(super) number: i32,
    /// 1: at most one. 3: any number.
    #[prost(int32, tag = "4")]
    pub(super) label: i32,
    /// Absolute, with a dot before it; empty for scalars.
    #[prost(string, tag = "6")]
    pub(super) type_name: String,
    #[prost(int32, tag = "5")]
    pub(super) r#type: i32,
    #[prost(int32, optional, tag = "9")]
    pub(super) oneof_index: Option<i32>,
    #[prost(bool, tag = "17")]
    pub(super) proto3_optional: bool,
}

/// A oneof, by its name.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Named {
    #[prost(string, tag = "1")]
    pub(super) name: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct EnumDescriptorProto {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(message, repeated, tag = "2")]
    pub(super) value: Vec<EnumValueDescriptorProto>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct EnumValueDescriptorProto {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    /// Said where it is 0, too.
    #[prost(int32, optional, tag = "2")]
    pub(super) number: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ServiceDescriptorProto {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(message, repeated, tag = "2")]
    pub(super) method: Vec<MethodDescriptorProto>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct MethodDescriptorProto {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) input_type: String,
    #[prost(string, tag = "3")]
    pub(super) output_type: String,
    #[prost(bool, tag = "5")]
    pub(super) client_streaming: bool,
    #[prost(bool, tag = "6")]
    pub(super) server_streaming: bool,
}

impl FileDescriptorProto {
    /// Whether a full name is that of a message, an enumeration, a service or a method of this file.
    pub(super) fn declares(&self, symbol: &str) -> bool {
        let Some(local) = symbol.strip_prefix(&*self.package).and_then(|rest| rest.strip_prefix('.')) else {
            return false;
        };
        let is_method = |(service, method): (&str, &str)| {
            self.service.iter().any(|one| one.name == service && one.method.iter().any(|other| other.name == method))
        };
        self.service.iter().any(|one| one.name == local)
            || local.split_once('.').is_some_and(is_method)
            || declares(&self.message_type, &self.enum_type, local)
    }
}

fn declares(messages: &[DescriptorProto], enums: &[EnumDescriptorProto], local: &str) -> bool {
    match local.split_once('.') {
        None => messages.iter().any(|one| one.name == local) || enums.iter().any(|one| one.name == local),
        Some((outer, rest)) => {
            messages.iter().any(|one| one.name == outer && declares(&one.nested_type, &one.enum_type, rest))
        }
    }
}
