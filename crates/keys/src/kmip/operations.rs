//! The operations of a KMIP server that master keys need: make and activate a key, find keys, and have the server encrypt,
//! decrypt and authenticate with them. There is no `Get`: no key ever comes here.

use zeroize::Zeroizing;

use super::fault::Fault;
use super::link::Link;
use super::message::{Operation, garbled, tag};
use super::ttlv::Item;
use crate::calls::Repeat;

const SYMMETRIC_KEY: u32 = 2;
const AES: u32 = 3;
const HMAC_SHA256: u32 = 9;
const CBC: u32 = 1;
const GCM: u32 = 9;
const PKCS5: u32 = 3;
const TEXT_NAME: u32 = 1;
const PRE_ACTIVE: u32 = 1;
const ACTIVE: u32 = 2;
const DESTROYED: [u32; 2] = [5, 6];
const KEY_BITS: i32 = 256;

/// Length of a GCM tag, in bytes.
pub(super) const TAG_LEN: usize = 16;

/// The namespace of our application-specific information.
const NAMESPACE: &str = "parcours";

/// What a key of the server may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Encryption,
    Authentication,
}

impl Purpose {
    fn usage_mask(self) -> i32 {
        match self {
            Self::Encryption => 0x04 | 0x08, // encrypt, decrypt
            Self::Authentication => 0x80,    // generate MACs
        }
    }
}

/// What a key object is called.
pub(super) struct Labels<'a> {
    /// Its name.
    pub name: &'a str,
    /// The object group, and what our application notes; only for the object that stands for a version.
    pub group: Option<(&'a str, &'a str)>,
}

/// What an object says of itself.
pub(super) struct About {
    /// Its names, of which ours is one.
    pub names: Vec<String>,
    /// Where it is in its life.
    pub stage: Stage,
}

/// Where an object is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Made, never used.
    Fresh,
    /// In use, or out of use: the server decides at each use.
    Settled,
    /// In use.
    Active,
    /// Nothing is left but its attributes.
    Destroyed,
}

/// A server in one version of the protocol.
pub(super) struct Server {
    link: Link,
    /// The version, KMIP 1.`minor`.
    minor: i32,
}

impl Server {
    pub fn new(link: Link, minor: i32) -> Self {
        Self { link, minor }
    }

    /// Makes an AES-256 key; it is not active yet. Returns its identifier.
    pub async fn create(&self, labels: Labels<'_>, purpose: Purpose) -> Result<String, Fault> {
        let mut attributes = vec![
            attribute("Cryptographic Algorithm", |tag| Item::enumeration(tag, AES)),
            attribute("Cryptographic Length", |tag| Item::integer(tag, KEY_BITS)),
            attribute("Cryptographic Usage Mask", |tag| {
                Item::integer(tag, purpose.usage_mask())
            }),
            name(labels.name),
        ];
        if self.minor >= 4 {
            attributes.push(attribute("Sensitive", |tag| Item::boolean(tag, true)));
        }
        if let Some((group, note)) = labels.group {
            attributes.extend([in_group(group), noted(note)]);
        }
        let payload = vec![
            Item::enumeration(tag::OBJECT_TYPE, SYMMETRIC_KEY),
            Item::structure(tag::TEMPLATE_ATTRIBUTE, attributes),
        ];
        let made = self.ask(Operation::Create, Repeat::No, payload).await?;
        identifier(&made)
    }

    /// Puts a key into use.
    pub async fn activate(&self, key: &str) -> Result<(), Fault> {
        let activated = self.ask(Operation::Activate, Repeat::No, vec![uid(key)]).await;
        match activated {
            Ok(_) => Ok(()),
            // Another process may have done it, or a lost answer of ours.
            Err(fault) => match self.about(key).await?.stage {
                Stage::Active => Ok(()),
                _ => Err(fault),
            },
        }
    }

    /// The identifiers of the objects of a group.
    pub async fn in_group(&self, group: &str) -> Result<Vec<String>, Fault> {
        self.locate(in_group(group)).await
    }

    /// The identifiers of the objects that our application noted so.
    pub async fn noted(&self, note: &str) -> Result<Vec<String>, Fault> {
        self.locate(noted(note)).await
    }

    async fn locate(&self, attribute: Item) -> Result<Vec<String>, Fault> {
        let found = self.ask(Operation::Locate, Repeat::Yes, vec![attribute]).await?;
        let text = |item: &Item| item.as_text().map(str::to_owned).ok_or_else(garbled);
        found.all(tag::UNIQUE_IDENTIFIER).map(text).collect()
    }

    /// The names and the state of an object.
    pub async fn about(&self, key: &str) -> Result<About, Fault> {
        let wanted = ["Name", "State"].map(|name| Item::text(tag::ATTRIBUTE_NAME, name));
        let payload = [uid(key)].into_iter().chain(wanted).collect();
        let answer = self.ask(Operation::GetAttributes, Repeat::Yes, payload).await?;
        let values = |name: &str| {
            let is_it = move |item: &&Item| item.first(tag::ATTRIBUTE_NAME).and_then(Item::as_text) == Some(name);
            let attributes = answer.all(tag::ATTRIBUTE).filter(is_it);
            attributes
                .filter_map(|item| item.first(tag::ATTRIBUTE_VALUE))
                .collect::<Vec<_>>()
        };
        let names = values("Name")
            .into_iter()
            .filter_map(|item| item.first(tag::NAME_VALUE)?.as_text().map(str::to_owned));
        let stage = match values("State").first().and_then(|item| item.as_enumeration()) {
            Some(PRE_ACTIVE) => Stage::Fresh,
            Some(ACTIVE) => Stage::Active,
            Some(state) if DESTROYED.contains(&state) => Stage::Destroyed,
            Some(_) => Stage::Settled,
            None => return Err(garbled()),
        };
        Ok(About {
            names: names.collect(),
            stage,
        })
    }

    /// AES-GCM on the server: what is sealed, with its tag.
    pub async fn seal(&self, key: &str, nonce: &[u8], aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, Fault> {
        let payload = vec![
            uid(key),
            gcm(),
            Item::bytes(tag::DATA, plain),
            Item::bytes(tag::IV_COUNTER_NONCE, nonce),
            Item::bytes(tag::AEAD_DATA, aad),
        ];
        let answer = self.ask(Operation::Encrypt, Repeat::Yes, payload).await?;
        let sealed = encrypted(&answer, nonce)?;
        let authentic = bytes(&answer, tag::AEAD_TAG)?;
        match (sealed.len(), authentic.len()) {
            (length, TAG_LEN) if length == plain.len() => Ok([sealed, authentic].concat()),
            _ => Err(garbled()),
        }
    }

    /// The reverse of [`Server::seal`].
    pub async fn open(&self, key: &str, nonce: &[u8], aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let at = sealed.len().checked_sub(TAG_LEN).ok_or(Fault::Undecipherable)?;
        let (sealed, authentic) = sealed.split_at(at);
        let payload = vec![
            uid(key),
            gcm(),
            Item::bytes(tag::DATA, sealed),
            Item::bytes(tag::IV_COUNTER_NONCE, nonce),
            Item::bytes(tag::AEAD_DATA, aad),
            Item::bytes(tag::AEAD_TAG, authentic),
        ];
        self.decrypt(payload).await
    }

    /// AES-CBC on the server, which authenticates nothing.
    pub async fn encrypt(&self, key: &str, iv: &[u8], plain: &[u8]) -> Result<Vec<u8>, Fault> {
        let payload = vec![
            uid(key),
            cbc(),
            Item::bytes(tag::DATA, plain),
            Item::bytes(tag::IV_COUNTER_NONCE, iv),
        ];
        let answer = self.ask(Operation::Encrypt, Repeat::Yes, payload).await?;
        encrypted(&answer, iv).map(<[u8]>::to_vec)
    }

    /// The reverse of [`Server::encrypt`].
    pub async fn decipher(&self, key: &str, iv: &[u8], encrypted: &[u8]) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let payload = vec![
            uid(key),
            cbc(),
            Item::bytes(tag::DATA, encrypted),
            Item::bytes(tag::IV_COUNTER_NONCE, iv),
        ];
        self.decrypt(payload).await
    }

    /// HMAC-SHA256 on the server.
    pub async fn mac(&self, key: &str, text: &[u8]) -> Result<Vec<u8>, Fault> {
        let algorithm = Item::enumeration(tag::CRYPTOGRAPHIC_ALGORITHM, HMAC_SHA256);
        let payload = vec![
            uid(key),
            Item::structure(tag::CRYPTOGRAPHIC_PARAMETERS, [algorithm]),
            Item::bytes(tag::DATA, text),
        ];
        let answer = self.ask(Operation::Mac, Repeat::Yes, payload).await?;
        bytes(&answer, tag::MAC_DATA).map(<[u8]>::to_vec)
    }

    async fn decrypt(&self, payload: Vec<Item>) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let answer = self.ask(Operation::Decrypt, Repeat::Yes, payload).await?;
        bytes(&answer, tag::DATA).map(|plain| Zeroizing::new(plain.to_vec()))
    }

    async fn ask(&self, operation: Operation, repeat: Repeat, payload: Vec<Item>) -> Result<Item, Fault> {
        self.link.ask(self.minor, operation, repeat, payload).await
    }
}

fn uid(key: &str) -> Item {
    Item::text(tag::UNIQUE_IDENTIFIER, key)
}

fn identifier(answer: &Item) -> Result<String, Fault> {
    let found = answer.first(tag::UNIQUE_IDENTIFIER).and_then(Item::as_text);
    found.map(str::to_owned).ok_or_else(garbled)
}

fn bytes(answer: &Item, tag: u32) -> Result<&[u8], Fault> {
    answer.first(tag).and_then(Item::as_bytes).ok_or_else(garbled)
}

/// What was encrypted, if the server did it with our nonce.
fn encrypted<'a>(answer: &'a Item, nonce: &[u8]) -> Result<&'a [u8], Fault> {
    let used = answer.first(tag::IV_COUNTER_NONCE).and_then(Item::as_bytes);
    if used.is_some_and(|used| used != nonce) {
        return Err(Fault::Refused(
            "the key server takes a nonce of its own instead of ours".to_owned(),
        ));
    }
    bytes(answer, tag::DATA)
}

fn attribute(name: &str, value: impl FnOnce(u32) -> Item) -> Item {
    let name = Item::text(tag::ATTRIBUTE_NAME, name);
    Item::structure(tag::ATTRIBUTE, [name, value(tag::ATTRIBUTE_VALUE)])
}

fn name(text: &str) -> Item {
    let parts = [
        Item::text(tag::NAME_VALUE, text),
        Item::enumeration(tag::NAME_TYPE, TEXT_NAME),
    ];
    attribute("Name", |tag| Item::structure(tag, parts))
}

fn in_group(group: &str) -> Item {
    attribute("Object Group", |tag| Item::text(tag, group))
}

fn noted(note: &str) -> Item {
    let parts = [
        Item::text(tag::APPLICATION_NAMESPACE, NAMESPACE),
        Item::text(tag::APPLICATION_DATA, note),
    ];
    attribute("Application Specific Information", |tag| Item::structure(tag, parts))
}

fn gcm() -> Item {
    let parameters = [
        Item::enumeration(tag::BLOCK_CIPHER_MODE, GCM),
        Item::enumeration(tag::CRYPTOGRAPHIC_ALGORITHM, AES),
        Item::integer(tag::TAG_LENGTH, TAG_LEN as i32),
    ];
    Item::structure(tag::CRYPTOGRAPHIC_PARAMETERS, parameters)
}

fn cbc() -> Item {
    let parameters = [
        Item::enumeration(tag::BLOCK_CIPHER_MODE, CBC),
        Item::enumeration(tag::PADDING_METHOD, PKCS5),
        Item::enumeration(tag::CRYPTOGRAPHIC_ALGORITHM, AES),
    ];
    Item::structure(tag::CRYPTOGRAPHIC_PARAMETERS, parameters)
}
