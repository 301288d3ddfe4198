//! Master keys as objects of a token. Each version is a secret key of its own, made inside the token, never extractable,
//! good for AES-GCM and nothing else; its label is the version's id (`claims/health#3`), its `CKA_ID` the key's name.

use std::collections::BTreeSet;

use aws_lc_rs::aead::{AES_256_GCM, NONCE_LEN};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, SessionState};
use zeroize::Zeroizing;

use super::fault::Fault;
use super::token::Use;
use crate::name::{MasterKeyId, MasterKeyName};
use crate::secret::{DataKey, fill_random};
use crate::wrapping::{additional_data, decode, encode};

/// The versions of a key that the token holds, ascending, and their objects.
pub(super) fn versions(token: &Use, name: &MasterKeyName) -> Result<Vec<(u32, ObjectHandle)>, Fault> {
    let mut template = any_master_key();
    template.push(Attribute::Id(name.as_str().as_bytes().to_vec()));
    let mut versions = Vec::new();
    for object in find(token, &template)? {
        if let Some(id) = id_of(token.session, object)?.filter(|id| id.name == *name) {
            versions.push((id.version, object));
        }
    }
    versions.sort_by_key(|(version, _)| *version);
    Ok(versions)
}

/// The names of all master keys.
pub(super) fn names(token: &Use) -> Result<BTreeSet<MasterKeyName>, Fault> {
    let mut names = BTreeSet::new();
    for object in find(token, &any_master_key())? {
        names.extend(id_of(token.session, object)?.map(|id| id.name));
    }
    Ok(names)
}

/// Makes a version of a key inside the token.
pub(super) fn generate(token: &Use, id: &MasterKeyId) -> Result<(), Fault> {
    let mut template = any_master_key();
    template.extend([
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Modifiable(false),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
        Attribute::Sign(false),
        Attribute::Verify(false),
        Attribute::Wrap(false),
        Attribute::Unwrap(false),
        Attribute::Derive(false),
        Attribute::ValueLen((DataKey::LEN as u64).into()),
        Attribute::Id(id.name.as_str().as_bytes().to_vec()),
        Attribute::Label(id.to_string().into_bytes()),
    ]);
    token.writable()?.generate_key(&Mechanism::AesKeyGen, &template)?;
    Ok(())
}

/// The text of `key` wrapped by this object.
pub(super) fn wrap(
    session: &Session,
    object: ObjectHandle,
    id: &MasterKeyId,
    key: &DataKey,
    aad: &[u8],
) -> Result<String, Fault> {
    let mut nonce = [0; NONCE_LEN];
    fill_random(&mut nonce).map_err(|error| Fault::Refused(error.to_string()))?;
    let aad = additional_data(id, aad);
    let sealed = with_gcm(nonce, &aad, |gcm| session.encrypt(gcm, object, key.expose()))?;
    Ok(encode(&nonce, &sealed))
}

/// The data key in `text`, if one of the objects opens it.
pub(super) fn unwrap(token: &Use, id: &MasterKeyId, text: &str, aad: &[u8]) -> Result<Option<DataKey>, Fault> {
    let objects = objects_of(token, id)?;
    if objects.is_empty() {
        return Ok(None);
    }
    let (nonce, sealed) = decode(text).ok_or(Fault::Undecipherable)?;
    let aad = additional_data(id, aad);
    for object in objects {
        match open(token.session, object, nonce, &aad, &sealed) {
            Err(Fault::Undecipherable) => {}
            opened => {
                let key = DataKey::from_bytes(&opened?);
                return key.map(Some).map_err(|_| Fault::Undecipherable);
            }
        }
    }
    Err(Fault::Undecipherable)
}

fn open(
    session: &Session,
    object: ObjectHandle,
    nonce: [u8; NONCE_LEN],
    aad: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Fault> {
    match with_gcm(nonce, aad, |gcm| session.decrypt(gcm, object, sealed)) {
        // Modules say so for a wrong tag as well as for a fault of their own. A key that still encrypts is not at fault.
        Err(Fault::Unclear(text)) => match with_gcm([0; NONCE_LEN], aad, |gcm| session.encrypt(gcm, object, &[])) {
            Ok(_) => Err(Fault::Undecipherable),
            Err(_) => Err(Fault::Lost(text)),
        },
        opened => opened.map(Zeroizing::new),
    }
}

/// The objects of a version, as found before or as they are now.
fn objects_of(token: &Use, id: &MasterKeyId) -> Result<Vec<ObjectHandle>, Fault> {
    if let Some(objects) = token.handles.lock().get(id) {
        return Ok(objects.clone());
    }
    let of_version = versions(token, &id.name)?.into_iter();
    let objects: Vec<_> = of_version
        .filter_map(|(version, object)| (version == id.version).then_some(object))
        .collect();
    if !objects.is_empty() {
        token.handles.lock().insert(id.clone(), objects.clone());
    }
    Ok(objects)
}

fn with_gcm(
    mut nonce: [u8; NONCE_LEN],
    aad: &[u8],
    call: impl FnOnce(&Mechanism) -> cryptoki::error::Result<Vec<u8>>,
) -> Result<Vec<u8>, Fault> {
    let tag_bits = (AES_256_GCM.tag_len() as u64 * 8).into();
    let parameters = GcmParams::new(&mut nonce, aad, tag_bits)?;
    Ok(call(&Mechanism::AesGcm(parameters))?)
}

/// The objects of this form. A session whose login ended, or whose token went away, may see none of them, which must not
/// pass for their absence.
fn find(token: &Use, template: &[Attribute]) -> Result<Vec<ObjectHandle>, Fault> {
    let found = token.session.find_objects(template)?;
    let logged_in = [SessionState::RoUser, SessionState::RwUser];
    if !logged_in.contains(&token.session.get_session_info()?.session_state()) {
        return Err(Fault::Lost("the login ended".to_owned()));
    }
    if !found.is_empty() {
        return Ok(found);
    }
    token.is_there()?;
    // The search may have come before another call's login, and the look at the session after it.
    Ok(token.session.find_objects(template)?)
}

fn any_master_key() -> Vec<Attribute> {
    vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Token(true),
    ]
}

fn id_of(session: &Session, object: ObjectHandle) -> Result<Option<MasterKeyId>, Fault> {
    let attributes = session.get_attributes(object, &[AttributeType::Label])?;
    let label = attributes.into_iter().find_map(|attribute| match attribute {
        Attribute::Label(label) => String::from_utf8(label).ok(),
        _ => None,
    });
    Ok(label.and_then(|label| label.parse().ok()))
}
