//! The register of codes: every finding bears one of these, and each has a fixture in
//! `samples/invalid/`. Codes never change meaning; a retired code is not used again.

use crate::finding::Severity;
use serde::{Serialize, Serializer};

macro_rules! register {
    ($( $variant:ident $text:literal $severity:ident $meaning:literal $todo:literal; )*) => {
        /// A stable code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $( #[doc = $meaning] $variant, )* }

        impl Code {
            /// Every code, in the order of the register.
            pub const ALL: &'static [Code] = &[ $( Code::$variant, )* ];

            /// The code as written in reports.
            pub fn as_str(self) -> &'static str { match self { $( Code::$variant => $text, )* } }

            /// What a finding of this code does to the record or the delivery.
            pub fn severity(self) -> Severity { match self { $( Code::$variant => Severity::$severity, )* } }

            /// What it means, in French.
            pub fn meaning(self) -> &'static str { match self { $( Code::$variant => $meaning, )* } }

            /// What to do about it, in French.
            pub fn what_to_do(self) -> &'static str { match self { $( Code::$variant => $todo, )* } }
        }
    };
}

register! {
    RecvName "RECV_NAME" Refusal "nom de fichier hors convention" "renommez le fichier selon la convention de la source, ou déclarez-la dans le contrat";
    RecvPartial "RECV_PARTIAL" Refusal "fichier incomplet" "attendez la fin du transfert ou redemandez le fichier";
    RecvEmpty "RECV_EMPTY" Refusal "fichier vide" "redemandez le fichier à la source";
    FileLimit "FILE_LIMIT" Refusal "limite dépassée" "vérifiez le fichier : un enregistrement ou un en-tête n'a pas une taille normale";
    CsvHeaderMissing "CSV_HEADER_MISSING" Refusal "colonne attendue absente de l'en-tête" "redemandez l'export avec cette colonne, ou ajoutez un alias au contrat";
    CsvHeaderDuplicate "CSV_HEADER_DUPLICATE" Refusal "colonne répétée dans l'en-tête" "redemandez l'export : deux colonnes portent le même nom";
    CsvHeaderUnknown "CSV_HEADER_UNKNOWN" Warning "colonne inconnue du contrat" "ajoutez la colonne au contrat si elle est utile ; elle n'est pas reprise dans la table";
    CsvSeparator "CSV_SEPARATOR" Warning "séparateur différent de celui du contrat" "vérifiez que la source garde ce séparateur, puis corrigez le contrat";
    ItemUnknown "ITEM_UNKNOWN" Warning "mesure inconnue du contrat" "ajoutez-la à la liste « known » du contrat ; ses valeurs sont reprises";
    TotalGap "TOTAL_GAP" Information "les parts n'égalent pas le total" "rien à corriger : l'écart est publié par la source ; ne comparez pas les parts au total";
    CsvFieldCount "CSV_FIELD_COUNT" Error "nombre de champs différent de l'en-tête" "vérifiez les séparateurs et les guillemets de la ligne";
    CsvUnclosedQuote "CSV_UNCLOSED_QUOTE" Refusal "guillemet jamais refermé" "corrigez le guillemet ouvrant à la ligne indiquée";
    EncInvalid "ENC_INVALID" Error "octets étrangers à l'encodage déclaré" "exportez dans l'encodage du contrat, ou corrigez celui-ci";
    EncNul "ENC_NUL" Error "caractère nul dans une valeur" "redemandez l'export : le fichier a été abîmé";
    XmlMalformed "XML_MALFORMED" Refusal "XML mal formé" "redemandez le fichier : il n'est pas lisible à partir de la ligne indiquée";
    XmlTruncated "XML_TRUNCATED" Refusal "XML tronqué" "redemandez le fichier : sa fin manque";
    XmlRoot "XML_ROOT" Refusal "racine XML inattendue" "vérifiez que le fichier est bien celui de la source annoncée";
    XmlEntity "XML_ENTITY" Refusal "entité XML refusée" "les entités déclarées ne sont jamais développées : redemandez un fichier sans entité";
    XmlDtd "XML_DTD" Refusal "DTD interne refusée" "redemandez un fichier sans sous-ensemble interne de DTD";
    XmlEncoding "XML_ENCODING" Refusal "encodage XML non pris en charge" "exportez en UTF-8 ou en ISO-8859-15";
    XmlElementUnknown "XML_ELEMENT_UNKNOWN" Warning "élément inconnu du contrat" "ajoutez l'élément au contrat s'il est utile ; sa valeur est gardée dans la colonne _extra";
    JsonMalformed "JSON_MALFORMED" Error "ligne JSON illisible" "écrivez un objet JSON par ligne, avec des valeurs simples ou des listes";
    ParquetMalformed "PARQUET_MALFORMED" Refusal "Parquet illisible" "redemandez le fichier, et déposez-le seul, hors d'une archive";
    ArchiveUnsafe "ARCHIVE_UNSAFE" Refusal "archive dangereuse" "redemandez l'archive : elle porte un chemin, un lien ou un chiffrement qu'une livraison n'a pas";
    ArchiveLimit "ARCHIVE_LIMIT" Refusal "archive démesurée" "vérifiez l'archive : elle se développe bien au-delà de sa taille";
    ArchiveBroken "ARCHIVE_BROKEN" Refusal "archive abîmée" "redemandez l'archive : elle ne se lit pas jusqu'au bout";
    AafRequest "AAF_REQUEST" Error "requête AAF inattendue" "déposez les requêtes de modification et de suppression dans un export Delta, nommé comme tel";
    DeltaGap "DELTA_GAP" Refusal "Delta manquant" "redemandez l'export de la date indiquée, ou un export Complet";
    DeltaStale "DELTA_STALE" Refusal "Delta plus ancien que l'état" "ne déposez que des Delta postérieurs au dernier état";
    DeltaTarget "DELTA_TARGET" Error "requête sur un enregistrement absent de l'état" "redemandez un export Complet à l'académie";
    AafCategory "AAF_CATEGORY" Error "catégorie différente de celle du fichier" "vérifiez que l'enregistrement est dans le bon fichier de l'export";
    AafIdentifier "AAF_IDENTIFIER" Error "identifiant de la requête différent de la clé" "signalez l'enregistrement à l'annuaire fédérateur";
    AafAttributeUnknown "AAF_ATTRIBUTE_UNKNOWN" Warning "attribut inconnu du contrat" "ajoutez l'attribut au contrat s'il est utile ; sa valeur est gardée dans la colonne _extra";
    Required "REQUIRED" Error "valeur obligatoire absente" "complétez la valeur dans l'application source";
    MultipleValues "MULTIPLE_VALUES" Error "plusieurs valeurs là où une seule est admise" "ne gardez qu'une valeur dans l'application source";
    TypeInteger "TYPE_INTEGER" Error "entier attendu" "écrivez un nombre entier sans espace ni virgule";
    TypeDecimal "TYPE_DECIMAL" Error "montant décimal attendu" "écrivez un nombre décimal avec un point et le nombre de décimales du contrat";
    TypeDate "TYPE_DATE" Error "date attendue" "écrivez une date réelle dans le format du contrat";
    TypeTime "TYPE_TIME" Error "heure attendue" "écrivez une heure hh:mm";
    TypeDuration "TYPE_DURATION" Error "durée attendue" "écrivez une durée hh:mm:ss";
    TypeBoolean "TYPE_BOOLEAN" Error "indicateur attendu" "écrivez l'une des deux valeurs du contrat";
    TypeAnneeScolaire "TYPE_ANNEE_SCOLAIRE" Error "année scolaire attendue" "écrivez deux années qui se suivent, par exemple 2025-2026";
    Pattern "PATTERN" Error "forme inattendue" "corrigez la valeur dans l'application source";
    Enum "ENUM" Error "valeur hors de la liste" "employez l'une des valeurs admises";
    Range "RANGE" Error "valeur hors des bornes" "corrigez la valeur dans l'application source";
    UaiFormat "UAI_FORMAT" Error "UAI mal formée" "une UAI compte sept chiffres et une lettre";
    UaiLetter "UAI_LETTER" Error "lettre de contrôle de l'UAI fausse" "vérifiez l'UAI dans l'annuaire des établissements";
    CheckIne "CHECK_INE" Warning "clé de contrôle de l'INE fausse" "vérifiez l'INE dans la base élèves ; l'enregistrement est accepté";
    CheckSiren "CHECK_SIREN" Error "clé de contrôle du SIREN ou du SIRET fausse" "vérifiez le numéro dans le répertoire SIRENE";
    CompositeParts "COMPOSITE_PARTS" Error "valeur composée de trop de parties" "vérifiez les séparateurs « $ » de la valeur dans l'application source";
    Repaired "REPAIRED" Information "valeurs réparées comme le contrat le permet" "corrigez l'export : les valeurs d'origine restent dans la livraison reçue";
    Rule "RULE" Error "règle du contrat non respectée" "corrigez l'une des valeurs comparées dans l'application source";
    ReferenceUnknown "REFERENCE_UNKNOWN" Error "renvoi à un enregistrement absent" "vérifiez l'identifiant, ou livrez la table visée en même temps";
    ReferenceClosed "REFERENCE_CLOSED" Error "renvoi à un enregistrement qui n'est pas ouvert à cette date" "vérifiez les dates des deux enregistrements";
    CountMismatch "COUNT_MISMATCH" Warning "nombre déclaré différent du nombre d'enregistrements" "comparez l'effectif déclaré aux appartenances de la livraison";
    Overlap "OVERLAP" Warning "périodes qui se chevauchent" "vérifiez les horaires : la même personne est à deux endroits à la fois";
    BcnUnknown "BCN_UNKNOWN" Error "code inconnu de la nomenclature" "vérifiez le code, ou importez une édition plus récente de la BCN";
    BcnNotYetOpen "BCN_NOT_YET_OPEN" Error "code pas encore ouvert à la date de l'enregistrement" "vérifiez le code et la date";
    BcnClosed "BCN_CLOSED" Error "code fermé à la date de l'enregistrement" "employez le code qui lui succède";
    KeyDuplicate "KEY_DUPLICATE" Error "enregistrement répété à l'identique" "gardez un seul enregistrement par clé ; le premier est repris";
    KeyConflict "KEY_CONFLICT" Error "même clé pour des contenus différents" "choisissez le bon enregistrement dans l'application source : aucun n'est repris";
    PartitionUnknown "PARTITION_UNKNOWN" Error "année scolaire introuvable pour l'enregistrement" "corrigez la date, ou complétez le calendrier scolaire";
    GateRejected "GATE_REJECTED" Refusal "trop d'enregistrements rejetés" "corrigez la cause principale ci-dessus, puis redéposez la livraison";
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_str())
    }
}
