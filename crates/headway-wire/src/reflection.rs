//! gRPC's server reflection: what is served here, told to whoever asks with a generic client.
//!
//! The same messages under two names, as clients in use ask for either. Source: grpc.reflection.v1 and v1alpha.

mod descriptors;
mod source;

use std::sync::LazyLock;

use prost::{Message, Oneof};

use crate::grpc::{Failed, Status};
use crate::protobuf::Unreadable;
use crate::{health, hold, rls};
use descriptors::FileDescriptorProto;

/// The paths of the one call.
pub const CALLS: [&str; 2] = [
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];
/// Bytes of one question.
pub const MESSAGE_MAX: usize = 4_096;

const SERVICES: [&str; 3] = [rls::SERVICE, hold::SERVICE, health::SERVICE];

macro_rules! sources {
    ($($name:literal),+ $(,)?) => { [$(($name, include_str!(concat!("../proto/", $name)))),+] };
}

/// Each file after those it imports.
const SOURCES: [(&str, &str); 8] = sources![
    "google/protobuf/duration.proto",
    "google/protobuf/struct.proto",
    "google/protobuf/wrappers.proto",
    "envoy/config/core/v3/base.proto",
    "envoy/extensions/common/ratelimit/v3/ratelimit.proto",
    "envoy/service/ratelimit/v3/rls.proto",
    "grpc/health/v1/health.proto",
    "headway/lease/v1/leases.proto",
];

static FILES: LazyLock<Vec<FileDescriptorProto>> =
    LazyLock::new(|| SOURCES.iter().map(|(name, text)| source::file(name, text)).collect());

#[derive(Clone, PartialEq, Message)]
pub struct Request {
    #[prost(string, tag = "1")]
    pub host: String,
    #[prost(oneof = "Asked", tags = "3, 4, 5, 6, 7")]
    pub asked: Option<Asked>,
}

#[derive(Clone, PartialEq, Oneof)]
pub enum Asked {
    #[prost(string, tag = "3")]
    FileByFilename(String),
    #[prost(string, tag = "4")]
    FileContainingSymbol(String),
    #[prost(message, tag = "5")]
    FileContainingExtension(Extension),
    #[prost(string, tag = "6")]
    AllExtensionNumbersOfType(String),
    #[prost(string, tag = "7")]
    ListServices(String),
}

/// Proto3 has none of our own.
#[derive(Clone, PartialEq, Message)]
pub struct Extension {
    #[prost(string, tag = "1")]
    pub containing_type: String,
    #[prost(int32, tag = "2")]
    pub extension_number: i32,
}

#[derive(Clone, PartialEq, Message)]
pub struct Response {
    #[prost(string, tag = "1")]
    pub valid_host: String,
    #[prost(message, optional, tag = "2")]
    pub original_request: Option<Request>,
    #[prost(oneof = "Told", tags = "4, 6, 7")]
    pub told: Option<Told>,
}

#[derive(Clone, PartialEq, Oneof)]
pub enum Told {
    #[prost(message, tag = "4")]
    Files(Files),
    #[prost(message, tag = "6")]
    Services(Services),
    #[prost(message, tag = "7")]
    Error(Error),
}

/// Each file as its own bytes.
#[derive(Clone, PartialEq, Message)]
pub struct Files {
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub files: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Services {
    #[prost(message, repeated, tag = "1")]
    pub services: Vec<Service>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Service {
    #[prost(string, tag = "1")]
    pub name: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct Error {
    #[prost(int32, tag = "1")]
    pub code: i32,
    #[prost(string, tag = "2")]
    pub message: String,
}

/// One question and its answer. Errors: malformed, or none that is known.
pub fn answer(message: &[u8]) -> Result<Response, Failed> {
    let request = Request::decode(message).map_err(|_| Unreadable::Malformed("it is no question about services"))?;
    let told = match &request.asked {
        None => return Err(Unreadable::Malformed("it asks for nothing").into()),
        Some(Asked::ListServices(_)) => {
            Told::Services(Services { services: SERVICES.map(|name| Service { name: name.to_owned() }).into() })
        }
        Some(Asked::FileByFilename(name)) => file_of(|file| file.name == *name),
        Some(Asked::FileContainingSymbol(symbol)) => file_of(|file| file.declares(symbol)),
        Some(Asked::FileContainingExtension(_) | Asked::AllExtensionNumbersOfType(_)) => not_found(),
    };
    Ok(Response { valid_host: request.host.clone(), original_request: Some(request), told: Some(told) })
}

/// A file with all that it imports, which come first.
fn file_of(is_meant: impl Fn(&FileDescriptorProto) -> bool) -> Told {
    let Some(meant) = FILES.iter().find(|file| is_meant(file)) else { return not_found() };
    let mut wanted = vec![meant.name.as_str()];
    let mut files = vec![];
    for file in FILES.iter().rev() {
        if wanted.contains(&file.name.as_str()) {
            wanted.extend(file.dependency.iter().map(String::as_str));
            files.insert(0, file.encode_to_vec());
        }
    }
    Told::Files(Files { files })
}

fn not_found() -> Told {
    Told::Error(Error { code: Status::NotFound as i32, message: "nothing of that name is served".to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(asked: Asked) -> Told {
        let request = Request { host: "here".into(), asked: Some(asked) };
        answer(&request.encode_to_vec()).unwrap().told.unwrap()
    }

    fn names(told: &Told) -> Vec<String> {
        let Told::Files(files) = told else { panic!("{told:?} are no files") };
        files.files.iter().map(|file| FileDescriptorProto::decode(&file[..]).unwrap().name).collect()
    }

    #[test]
    fn every_service_is_listed_and_its_file_is_found_with_what_it_imports_before_it() {
        let Told::Services(services) = told(Asked::ListServices("*".into())) else { panic!("no services") };
        assert_eq!(SERVICES.to_vec(), services.services.iter().map(|one| one.name.as_str()).collect::<Vec<_>>());
        for name in SERVICES {
            let mut seen: Vec<String> = vec![];
            let Told::Files(files) = told(Asked::FileContainingSymbol(name.into())) else { panic!("{name}") };
            for file in files.files {
                let file = FileDescriptorProto::decode(&file[..]).unwrap();
                assert!(file.dependency.iter().all(|import| seen.contains(import)), "{}", file.name);
                seen.push(file.name);
            }
        }
    }

    #[test]
    fn files_are_found_by_their_name_and_by_all_that_they_declare() {
        let health = vec!["grpc/health/v1/health.proto".to_owned()];
        assert_eq!(health, names(&told(Asked::FileByFilename(health[0].clone()))));
        for symbol in ["Health", "Health.Watch", "HealthCheckResponse", "HealthCheckResponse.ServingStatus"] {
            assert_eq!(health, names(&told(Asked::FileContainingSymbol(format!("grpc.health.v1.{symbol}")))));
        }
    }

    #[test]
    fn what_is_not_there_is_not_found_and_what_is_no_question_is_malformed() {
        for asked in [
            Asked::FileByFilename("../secrets".into()),
            Asked::FileContainingSymbol("grpc.health.v1".into()),
            Asked::FileContainingSymbol("grpc.health.v1.Health.Cheque".into()),
            Asked::FileContainingExtension(Extension::default()),
            Asked::AllExtensionNumbersOfType("grpc.health.v1.Health".into()),
        ] {
            assert_eq!(not_found(), told(asked));
        }
        for message in [&b""[..], b"\xff", b"\x3a\x05x"] {
            assert_eq!(Status::InvalidArgument, answer(message).unwrap_err().status);
        }
    }

    #[test]
    fn what_is_told_of_the_stream_of_gates_is_what_is_read() {
        // Every field of every message, by its number and name, as the decoder declares them.
        let source = concat!(
            include_str!("hold.rs"),
            include_str!("hold/lent.rs"),
            include_str!("hold/matches.rs"),
            include_str!("hold/away.rs"),
            include_str!("hold/part.rs"),
        );
        let leases = FILES.iter().find(|file| file.package == "headway.lease.v1").unwrap();
        for message in &leases.message_type {
            let (_, body) = source.split_once(&format!("pub struct {} {{", message.name)).unwrap();
            let body = body.split_once('}').unwrap().0;
            for field in message.field.iter().filter(|field| field.oneof_index.is_none() || field.proto3_optional) {
                let declared = format!("tag = \"{}\")]\n    pub {}:", field.number, field.name);
                assert!(body.contains(&declared), "{}.{}", message.name, field.name);
            }
            let count = message.field.iter().filter(|field| field.oneof_index.is_none() || field.proto3_optional);
            assert_eq!(body.matches("tag = \"").count(), count.count(), "{}", message.name);
        }
        for (envelope, one_of) in [("FromGate", "ToKeeper"), ("FromKeeper", "ToGate")] {
            let message = leases.message_type.iter().find(|message| message.name == envelope).unwrap();
            let (_, body) = source.split_once(&format!("pub enum {one_of} {{")).unwrap();
            let body = body.split_once("\n}").unwrap().0;
            for field in &message.field {
                let kind = field.type_name.rsplit_once('.').unwrap().1;
                assert!(body.contains(&format!("tag = \"{}\")]\n    {kind}(", field.number)), "{envelope}.{kind}");
            }
            assert_eq!(body.matches("tag = \"").count(), message.field.len(), "{envelope}");
        }
    }
}
