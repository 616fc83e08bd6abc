//! The members of a record by feed: the common ones, then those of its workload.

use jiff::Timestamp;
use rand::{RngExt as _, rngs::Xoshiro256PlusPlus};

use super::{
    Shape,
    cast::{self, Cast, one_of},
    general,
    json::Json,
};
use crate::content::ContentType;

/// What is decided about a record before it is written.
pub(super) struct Record<'a> {
    pub(super) cast: &'a Cast,
    pub(super) shape: Shape,
    pub(super) id: &'a str,
    pub(super) time: Timestamp,
    pub(super) serial: &'a str,
}

/// The common members that depend on what happened.
pub(super) struct Event<'a> {
    pub(super) operation: &'a str,
    pub(super) record_type: i64,
    pub(super) workload: &'a str,
    pub(super) result: Option<&'a str>,
    pub(super) object: &'a str,
}

impl Record<'_> {
    /// Writes the members of the record's object.
    pub(super) fn write(
        &self,
        json: &mut Json,
        rng: &mut Xoshiro256PlusPlus,
        content_type: ContentType,
    ) {
        match content_type {
            ContentType::AzureActiveDirectory => self.directory(json, rng),
            ContentType::Dlp => general::dlp(self, json, rng),
            ContentType::Exchange => self.exchange(json, rng),
            ContentType::General => general::general(self, json, rng),
            ContentType::SharePoint => self.sharepoint(json, rng),
        }
        self.shape.write(json, rng);
    }

    pub(super) fn common(&self, json: &mut Json, event: &Event<'_>) {
        let spelling = match self.shape {
            Shape::CreationTimeWithZone => "%Y-%m-%dT%H:%M:%SZ",
            _ => "%Y-%m-%dT%H:%M:%S",
        };
        let time = self.time.strftime(spelling).to_string();
        json.key("CreationTime").text(&time);
        if self.shape == Shape::WithoutId {
            json.key("EventSerial").text(self.serial);
        } else {
            json.key("Id").text(self.id);
        }
        json.key("Operation").text(event.operation);
        json.key("OrganizationId").text(&self.cast.tenant);
        json.key("RecordType").number(event.record_type);
        if let Some(result) = event.result {
            json.key("ResultStatus").text(result);
        }
        json.key("UserKey").text(&self.cast.user_key);
        json.key("UserType").number(0);
        json.key("Version").number(1);
        if self.shape != Shape::WithoutWorkload {
            json.key("Workload").text(event.workload);
        }
        json.key("ClientIP").text(&self.cast.client_ip);
        json.key("ObjectId").text(event.object);
        json.key("UserId").text(&self.cast.user);
    }

    /// Whether the shape writes this member itself.
    pub(super) fn leaves(&self, key: &str) -> bool {
        match self.shape {
            Shape::ParametersAsString => key == "Parameters",
            Shape::StringsForObjects => matches!(key, "ExtendedProperties" | "ModifiedProperties"),
            Shape::Nulls => matches!(key, "AppAccessContext" | "SupportTicketId" | "CorrelationId"),
            _ => false,
        }
    }

    fn directory(&self, json: &mut Json, rng: &mut Xoshiro256PlusPlus) {
        let sign_in = rng.random_bool(0.7);
        let failed = sign_in && rng.random_bool(0.3);
        let (application, other) = (cast::guid(rng), cast::guid(rng));
        let event = Event {
            operation: match (sign_in, failed) {
                (true, true) => "UserLoginFailed",
                (true, false) => "UserLoggedIn",
                _ => {
                    one_of(rng, &["Add member to group.", "Update user.", "Add service principal."])
                }
            },
            record_type: if sign_in { 15 } else { 8 },
            workload: "AzureActiveDirectory",
            result: Some(if failed { "Failed" } else { "Success" }),
            object: &application,
        };
        self.common(json, &event);
        json.key("AzureActiveDirectoryEventType").number(1);
        if !self.leaves("ExtendedProperties") {
            json.key("ExtendedProperties").pairs(&[
                ("ResultStatusDetail", "Redirect"),
                ("UserAgent", cast::user_agent(rng)),
                ("RequestType", "OAuth2:Authorize"),
            ]);
        }
        if !self.leaves("ModifiedProperties") {
            json.key("ModifiedProperties").array(|json| {
                if sign_in {
                    return;
                }
                json.object(|json| {
                    json.key("Name").text("Group.DisplayName");
                    json.key("NewValue").text("[\r\n  \"Night shift\"\r\n]");
                    json.key("OldValue").text("[]");
                });
            });
        }
        json.key("Actor").array(|json| {
            identity(json, &self.cast.user, 5);
            identity(json, &self.cast.user_key, 3);
            identity(json, &other, 0);
        });
        json.key("ActorContextId").text(&self.cast.tenant);
        json.key("ActorIpAddress").text(&self.cast.client_ip);
        json.key("InterSystemsId").text(&cast::guid(rng));
        json.key("IntraSystemId").text(&cast::guid(rng));
        if !self.leaves("SupportTicketId") {
            json.key("SupportTicketId").text("");
        }
        json.key("Target").array(|json| identity(json, &application, 0));
        json.key("TargetContextId").text(&self.cast.tenant);
        json.key("ApplicationId").text(&cast::guid(rng));
        json.key("DeviceProperties").pairs(&[
            ("OS", "Windows 10"),
            ("BrowserType", "Other"),
            ("IsCompliantAndManaged", "False"),
            ("SessionId", &cast::guid(rng)),
        ]);
        if failed {
            json.key("ErrorNumber").text("50126");
            json.key("LogonError").text("InvalidUserNameOrPassword");
        }
    }

    fn exchange(&self, json: &mut Json, rng: &mut Xoshiro256PlusPlus) {
        let object = format!(
            "EXAMPLE01.PROD.EXAMPLE.COM/Hosted Organizations/{}/{}",
            self.cast.domain,
            cast::word(rng)
        );
        let server = format!("EXAMPLE{:03} (15.20.7982.032)", rng.random_range(1..999));
        let event = Event {
            operation: one_of(rng, &["Set-Mailbox", "New-InboxRule", "MailItemsAccessed"]),
            record_type: 1,
            workload: "Exchange",
            result: Some("True"),
            object: &object,
        };
        self.common(json, &event);
        json.key("AppId").text(&cast::guid(rng));
        json.key("AppPoolName").text("ExampleAdminApi");
        json.key("ClientAppId").text("");
        json.key("ExternalAccess").raw("false");
        json.key("OrganizationName").text(&self.cast.domain);
        json.key("OriginatingServer").text(&server);
        if !self.leaves("Parameters") {
            json.key("Parameters").pairs(&[
                ("Identity", &cast::guid(rng)),
                ("AlwaysDeleteOutlookRulesBlob", "False"),
                ("Name", &cast::word(rng)),
                ("ForwardTo", &self.cast.user),
                ("SubjectContainsWords", "invoice;délai;\"urgent\""),
                ("StopProcessingRules", "True"),
            ]);
        }
        json.key("RequestId").text(&cast::guid(rng));
        json.key("SessionId").text(&cast::guid(rng));
        json.key("MailboxGuid").text(&cast::guid(rng));
        json.key("ClientInfoString").text(cast::user_agent(rng));
        json.key("LogonType").number(rng.random_range(0..3));
    }

    fn sharepoint(&self, json: &mut Json, rng: &mut Xoshiro256PlusPlus) {
        let file = format!("{}.docx", cast::word(rng));
        let (workload, host, site) = if rng.random_bool(0.4) {
            ("OneDrive", "my.files", "personal")
        } else {
            ("SharePoint", "files", "sites")
        };
        let root = format!("https://{host}.{}/{site}/{}", self.cast.domain, cast::word(rng));
        let object = format!("{root}/Shared Documents/General/{file}");
        if !self.leaves("AppAccessContext") {
            json.key("AppAccessContext").object(|json| {
                json.key("AADSessionId").text(&cast::guid(rng));
                json.key("CorrelationId").text(&cast::guid(rng));
                json.key("UniqueTokenId").text(&cast::guid(rng).replace('-', ""));
            });
        }
        let event = Event {
            operation: one_of(
                rng,
                &["FileAccessed", "FileDownloaded", "FileModified", "FilePreviewed"],
            ),
            record_type: 6,
            workload,
            result: None,
            object: &object,
        };
        self.common(json, &event);
        if !self.leaves("CorrelationId") {
            json.key("CorrelationId").text(&cast::guid(rng));
        }
        json.key("EventSource").text("SharePoint");
        json.key("ItemType").text("File");
        json.key("ListId").text(&cast::guid(rng));
        json.key("ListItemUniqueId").text(&cast::guid(rng));
        json.key("Site").text(&cast::guid(rng));
        json.key("UserAgent").text(cast::user_agent(rng));
        json.key("WebId").text(&cast::guid(rng));
        json.key("HighPriorityMediaProcessing").raw("false");
        json.key("SourceFileExtension").text("docx");
        json.key("SiteUrl").text(&root);
        json.key("SourceFileName").text(&file);
        json.key("SourceRelativeUrl").text("Shared Documents/General");
        json.key("FileSizeBytes").number(rng.random_range(2_000..9_000_000));
    }
}

fn identity(json: &mut Json, id: &str, kind: i64) {
    json.object(|json| {
        json.key("ID").text(id);
        json.key("Type").number(kind);
    });
}
