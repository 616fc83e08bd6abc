//! The mixed feeds: everything under `Audit.General`, and data loss prevention.

use rand::{RngExt as _, rngs::Xoshiro256PlusPlus};

use super::{
    cast::{self, one_of},
    json::Json,
    workloads::{Event, Record},
};

pub(super) fn general(record: &Record<'_>, json: &mut Json, rng: &mut Xoshiro256PlusPlus) {
    match rng.random_range(0..10) {
        0..=4 => teams(record, json, rng),
        5..=6 => power_bi(record, json, rng),
        7..=8 => alert(record, json, rng),
        _ => protection(record, json, rng),
    }
}

fn teams(record: &Record<'_>, json: &mut Json, rng: &mut Xoshiro256PlusPlus) {
    let event = Event {
        operation: one_of(rng, &["MessageSent", "MeetingParticipantDetail", "TeamsSessionStarted"]),
        record_type: 25,
        workload: "MicrosoftTeams",
        result: None,
        object: "",
    };
    record.common(json, &event);
    json.key("ChatThreadId").text(&format!("19:{}@thread.v2", cast::guid(rng)));
    json.key("CommunicationType").text("GroupChat");
    json.key("MessageId").text("1767600000000");
    json.key("ParticipantInfo").object(|json| {
        json.key("HasForeignTenantUsers").raw("false");
        json.key("HasGuestUsers").raw("true");
        json.key("ParticipatingTenantIds").array(|json| json.text(&record.cast.tenant));
    });
    json.key("Members").array(|json| {
        for number in 1..rng.random_range(3..9) {
            json.object(|json| {
                let name = format!("guest.{number:02}@{}", record.cast.domain);
                json.key("DisplayName").text(&format!("Guest {number}"));
                json.key("Role").number(1);
                json.key("UPN").text(&name);
            });
        }
    });
    json.key("MessageURLs").array(|_| {});
    json.key("ResourceTenantId").text(&record.cast.tenant);
    json.key("TeamGuid").text(&format!("19:{}@thread.tacv2", cast::guid(rng)));
    json.key("ItemName").text(&cast::word(rng));
    json.key("ExtraProperties").pairs(&[("TimeZone", "UTC"), ("OsName", "windows")]);
}

fn power_bi(record: &Record<'_>, json: &mut Json, rng: &mut Xoshiro256PlusPlus) {
    let event = Event {
        operation: "ViewReport",
        record_type: 20,
        workload: "PowerBI",
        result: None,
        object: "",
    };
    record.common(json, &event);
    json.key("Activity").text("ViewReport");
    json.key("ItemName").text(&cast::word(rng));
    json.key("WorkSpaceName").text("Operations / Día");
    json.key("DatasetName").text(&cast::word(rng));
    json.key("ReportName").text(&cast::word(rng));
    for key in ["CapacityId", "WorkspaceId", "DatasetId", "ReportId", "ArtifactId"] {
        json.key(key).text(&cast::guid(rng));
    }
    json.key("ReportType").text("PowerBIReport");
    json.key("IsSuccess").raw("true");
    json.key("RequestId").text(&cast::guid(rng));
    json.key("ActivityId").text(&cast::guid(rng));
    json.key("DistributionMethod").text("Workspace");
    json.key("ConsumptionMethod").text("Power BI Web");
    json.key("UserAgent").text(cast::user_agent(rng));
}

fn alert(record: &Record<'_>, json: &mut Json, rng: &mut Xoshiro256PlusPlus) {
    let alert = cast::guid(rng);
    let event = Event {
        operation: "AlertTriggered",
        record_type: 40,
        workload: "SecurityComplianceCenter",
        result: Some("Succeeded"),
        object: &alert,
    };
    record.common(json, &event);
    json.key("AlertId").text(&alert);
    json.key("AlertType").text("System");
    json.key("Category").text("ThreatManagement");
    json.key("Comments").text("New alert");
    json.key("Data").text(&format!(
        "{{\"etype\":\"User\",\"eid\":\"{user}\",\"tid\":\"{tenant}\",\"lon\":\"{op}\",\
         \"ts\":\"2026-01-05T08:00:00.0000000Z\",\"sev\":\"Medium\",\"an\":\"{op}\",\"cnt\":3}}",
        user = record.cast.user,
        tenant = record.cast.tenant,
        op = cast::word(rng),
    ));
    json.key("Name").text("Unusual volume of deletions");
    json.key("PolicyId").text(&cast::guid(rng));
    json.key("Severity").text("Medium");
    json.key("Source").text("Office 365 Security & Compliance");
    json.key("Status").text("Active");
    json.key("EntityType").text("User");
    json.key("AlertLinks").array(|json| {
        json.object(|json| json.key("AlertLinkHref").text(""));
    });
}

fn protection(record: &Record<'_>, json: &mut Json, rng: &mut Xoshiro256PlusPlus) {
    // Here the common members come last.
    json.key("SensitivityLabelEventData").object(|json| {
        json.key("SensitivityLabelId").text(&cast::guid(rng));
        json.key("LabelEventType").number(4);
        json.key("ActionSource").number(1);
    });
    json.key("SensitiveInfoTypeData").array(|_| {});
    json.key("ProtectionEventData").object(|json| {
        json.key("ProtectionType").text("Template");
        json.key("TemplateId").text(&cast::guid(rng));
        json.key("IsProtected").raw("true");
        json.key("ProtectionOwner").text(&record.cast.user);
    });
    json.key("Common").object(|json| {
        json.key("ApplicationId").text(&cast::guid(rng));
        json.key("ApplicationName").text("Example Labelling Add-In");
        json.key("ProcessName").text("EDITOR");
        json.key("Platform").number(1);
        json.key("DeviceName").text(&cast::word(rng));
        json.key("Location").text("On-premises file shares");
        json.key("ProductVersion").text("2.14.90.0");
    });
    let object = format!("C:\\Users\\shared\\Documents\\{}.docx", cast::word(rng));
    let event = Event {
        operation: "SensitivityLabelApplied",
        record_type: 94,
        workload: "Aip",
        result: None,
        object: &object,
    };
    record.common(json, &event);
}

pub(super) fn dlp(record: &Record<'_>, json: &mut Json, rng: &mut Xoshiro256PlusPlus) {
    let (workload, record_type) = one_of(rng, &[("Exchange", 13), ("SharePoint", 11)]);
    let object = format!("<{}@mail.example.com>", cast::guid(rng));
    let event = Event {
        operation: one_of(rng, &["DlpRuleMatch", "DlpRuleUndo", "DlpInfo"]),
        record_type,
        workload,
        result: None,
        object: &object,
    };
    record.common(json, &event);
    json.key("IncidentId").text(&cast::guid(rng));
    json.key("EvaluationTime").text("2026-01-05T08:00:00");
    json.key("SensitiveInfoDetectionIsIncluded").raw("true");
    json.key("ExchangeMetaData").object(|json| {
        json.key("From").text(&record.cast.user);
        json.key("To").array(|json| json.text("partner@example.org"));
        json.key("BCC").array(|_| {});
        json.key("Subject").text(&cast::word(rng));
        json.key("Sent").text("2026-01-05T07:59:30");
        json.key("RecipientCount").number(1);
    });
    json.key("PolicyDetails").array(|json| {
        json.object(|json| {
            json.key("PolicyId").text(&cast::guid(rng));
            json.key("PolicyName").text("Payment data");
            json.key("Rules").array(|json| {
                for _ in 0..rng.random_range(1..4) {
                    rule(json, rng);
                }
            });
        });
    });
}

fn rule(json: &mut Json, rng: &mut Xoshiro256PlusPlus) {
    json.object(|json| {
        json.key("RuleId").text(&cast::guid(rng));
        json.key("RuleName").text(&cast::word(rng));
        json.key("Severity").text("Low");
        json.key("Actions").array(|json| json.text("GenerateAlert"));
        json.key("ConditionsMatched").object(|json| {
            json.key("ConditionMatchedInNewScheme").raw("true");
            json.key("SensitiveInformation").array(|json| {
                json.object(|json| {
                    json.key("SensitiveType").text(&cast::guid(rng));
                    json.key("Count").number(rng.random_range(1..50));
                    json.key("Confidence").number(85);
                });
            });
        });
    });
}
