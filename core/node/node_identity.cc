#include <algorithm>

#include "core/codec/cbor.h"
#include "core/codec/utf8.h"
#include "core/node/node_impl.h"

namespace sereus::node {
namespace {

constexpr std::string_view kEraseConfirmation = "erase everything";
constexpr std::string_view kLockFile = "LOCK";
constexpr uint64_t kAttachmentVersion = 1;

std::string device_name_or_default(ByteView name) { return name.empty() ? "device" : to_string(name); }

}  // namespace

KeystoreOptions NodeImpl::keystore_options() const {
  KeystoreOptions options;
  if (config_.kdf_interactive) options.kdf = Argon2Params::interactive();
  return options;
}

Status NodeImpl::open_identity(ByteView passphrase) {
  SEREUS_ASSIGN(Keystore keystore, Keystore::open(*context_.ports.files, passphrase, keystore_options()));
  return adopt_identity(std::move(keystore), name_);
}

// A folder with another fingerprint than the one the author keys are bound to is a copy, or a backup put in place: it
// must not go on with the logs of the original, so it takes new author keys.
Status NodeImpl::adopt_identity(Keystore keystore, std::string_view name) {
  const uint64_t fingerprint = context_.ports.files->fingerprint(kLockFile);
  if (fingerprint != 0 && keystore.folder_fingerprint() != fingerprint) {
    if (keystore.folder_fingerprint() == 0) {
      SEREUS_TRY(keystore.bind_folder(*context_.ports.random, fingerprint));
    } else {
      context_.log(LogLevel::warn,
                   "this data folder was copied or restored; it writes under new author keys from now on");
      SEREUS_TRY(keystore.new_incarnation(*context_.ports.random, fingerprint));
    }
  }
  keystore_.emplace(std::move(keystore));
  protected_ = keystore_->has_passphrase();
  name_ = std::string(name);
  return {};
}

void NodeImpl::identity_create(OpRef ref, Request& request) {
  if (keystore_) return refuse(ref, Code::exists, "this data folder has an identity already");
  if (has_stores_) {
    return refuse(ref, Code::corrupt,
                  "the keystore of this data folder is missing while its stores are here; put it back");
  }
  if (keystore_busy_) return refuse(ref, Code::busy, "an identity is being made");
  if (request.x.size() > kNameSizeMax || !valid_utf8(request.x)) {
    return refuse(ref, Code::invalid, "the name is too long or not UTF-8");
  }
  keystore_busy_ = true;
  auto made = std::make_shared<std::optional<Result<Keystore>>>();
  auto saved = std::make_shared<Status>();
  const std::string name = device_name_or_default(request.x);
  context_.run(
      JobQueue::writer,
      [made, saved, name, db = db_, passphrase = std::make_shared<SecretBuffer>(ByteView(request.y)),
       files = context_.ports.files, random = context_.ports.random, options = keystore_options(),
       now_s = static_cast<uint64_t>(wall_seconds(context_.now))] {
        *saved = db->set_name(name);
        if (!saved->ok()) return;
        made->emplace(Keystore::create(*files, *random, passphrase->view(), now_s, options));
      },
      [this, ref, made, saved, name] {
        keystore_busy_ = false;
        if (!saved->ok()) return context_.complete(ref, *saved);
        if (!(*made)->ok()) return context_.complete(ref, (*made)->error());
        const Status adopted = adopt_identity(std::move(**made).value(), name);
        if (adopted.ok() && online_wanted_ && stage_ == Stage::running) {
          if (const Status online = go_online(); !online.ok()) context_.log(LogLevel::warn, online.error().detail);
        }
        publish();
        context_.complete(ref, adopted);
      });
}

// ---- Backups --------------------------------------------------------------------------------------------------------
// What a backup carries besides the keys: [1, [[root, [[device, [address...]]...]]...]], so that a restored device finds
// the peers it gets its stores back from.

Bytes NodeImpl::encode_attachment() const {
  Bytes out;
  CborWriter writer(out);
  std::vector<const StoreSlot*> roots;
  for (const auto& [handle, slot] : slots_) {
    if (slot->is_root() && slot->usable()) roots.push_back(slot.get());
  }
  writer.array(2);
  writer.uint(kAttachmentVersion);
  writer.array(roots.size());
  for (const StoreSlot* root : roots) {
    std::vector<DeviceKey> others;
    for (const auto& [device, member] : root->root_state()->members) {
      if (member.active && device != own_device()) others.push_back(device);
    }
    writer.array(2);
    writer.bytes(root->id().view());
    writer.array(others.size());
    for (const DeviceKey& device : others) {
      const auto peer = peers_.find(device);
      const auto addresses = peer == peers_.end() ? std::vector<std::string>() : peer->second.known.addresses;
      writer.array(2);
      writer.bytes(device.view());
      writer.array(addresses.size());
      for (const std::string& address : addresses) writer.text(address);
    }
  }
  writer.finish();
  return out;
}

void NodeImpl::adopt_attachment(ByteView attachment) {
  CborReader reader(attachment);
  uint64_t fields = 0;
  uint64_t version = 0;
  uint64_t roots = 0;
  if (!reader.get_array(fields) || fields != 2 || !reader.get_uint(version) || version != kAttachmentVersion ||
      !reader.get_array(roots)) {
    return;
  }
  for (uint64_t r = 0; r < roots; ++r) {
    LocalStore local;
    uint64_t devices = 0;
    if (!reader.get_array(fields) || fields != 2 || !reader.get_fixed(local.id.bytes) || !reader.get_array(devices))
      return;
    local.root = local.id;
    local.name = "root";
    for (uint64_t d = 0; d < devices; ++d) {
      DeviceKey device;
      uint64_t addresses = 0;
      if (!reader.get_array(fields) || fields != 2 || !reader.get_fixed(device.bytes) || !reader.get_array(addresses))
        return;
      introductions_.insert({local.id, device});
      context_.run(
          JobQueue::writer, [db = db_, i = Introduction{local.id, device}] { (void)db->put_introduction(i); }, [] {});
      for (uint64_t a = 0; a < addresses; ++a) {
        std::string_view address;
        if (!reader.get_text(address)) return;
        remember_address(device, std::string(address));
      }
      if (addresses == 0) peer_of(device);
    }
    // Without another member there is nobody to have the root store back from.
    if (devices > 0) materialise(local, [](const Status&) {});
  }
}

void NodeImpl::identity_backup(OpRef ref, Request& request) {
  if (request.x.empty()) return refuse(ref, Code::passphrase, "a backup needs a passphrase of its own");
  if (keystore_busy_) return refuse(ref, Code::busy, "the keystore is in use; try again");
  keystore_busy_ = true;
  auto made = std::make_shared<std::optional<Result<Bytes>>>();
  context_.run(
      JobQueue::worker,
      [this, made, attachment = encode_attachment(), passphrase = std::make_shared<SecretBuffer>(ByteView(request.x))] {
        made->emplace(keystore_->export_backup(*context_.ports.random, passphrase->view(), attachment));
      },
      [this, ref, made] {
        keystore_busy_ = false;
        if (!(*made)->ok()) return context_.complete(ref, (*made)->error());
        Event event;
        event.data = std::move(**made).value();
        context_.complete(ref, std::move(event));
      });
}

void NodeImpl::identity_restore(OpRef ref, Request& request) {
  if (keystore_)
    return refuse(ref, Code::exists, "this data folder has an identity already; restore into an empty one");
  if (keystore_busy_) return refuse(ref, Code::busy, "an identity is being made");
  if (request.z.size() > kNameSizeMax || !valid_utf8(request.z)) {
    return refuse(ref, Code::invalid, "the name is too long or not UTF-8");
  }
  keystore_busy_ = true;
  struct Restored {
    std::optional<Result<Keystore>> keystore;
    SecretBuffer attachment;
    Status saved;
  };
  auto restored = std::make_shared<Restored>();
  const std::string name = device_name_or_default(request.z);
  context_.run(
      JobQueue::writer,
      [restored, name, db = db_, backup = request.x, from = std::make_shared<SecretBuffer>(ByteView(request.y)),
       to = std::make_shared<SecretBuffer>(ByteView(request.w)), files = context_.ports.files,
       random = context_.ports.random, options = keystore_options()] {
        restored->saved = db->set_name(name);
        if (!restored->saved.ok()) return;
        restored->keystore.emplace(
            Keystore::import_backup(*files, *random, backup, from->view(), to->view(), &restored->attachment, options));
      },
      [this, ref, restored, name] {
        keystore_busy_ = false;
        if (!restored->saved.ok()) return context_.complete(ref, restored->saved);
        if (!restored->keystore->ok()) return context_.complete(ref, restored->keystore->error());
        const Status adopted = adopt_identity(std::move(*restored->keystore).value(), name);
        if (adopted.ok() && stage_ == Stage::running) {
          if (online_wanted_) {
            if (const Status online = go_online(); !online.ok()) context_.log(LogLevel::warn, online.error().detail);
          }
          adopt_attachment(restored->attachment.view());
        }
        publish();
        context_.complete(ref, adopted);
      });
}

void NodeImpl::passphrase_change(OpRef ref, Request& request) {
  if (keystore_busy_) return refuse(ref, Code::busy, "the keystore is in use; try again");
  if (!protected_ && !request.x.empty()) return refuse(ref, Code::passphrase, "the keystore has no passphrase yet");
  keystore_busy_ = true;
  auto changed = std::make_shared<Status>();
  context_.run(
      JobQueue::writer,
      [this, changed, from = std::make_shared<SecretBuffer>(ByteView(request.x)),
       to = std::make_shared<SecretBuffer>(ByteView(request.y))] {
        *changed = keystore_->change_passphrase(*context_.ports.random, from->view(), to->view());
      },
      [this, ref, changed] {
        keystore_busy_ = false;
        protected_ = keystore_->has_passphrase();
        publish();
        context_.complete(ref, *changed);
      });
}

// ---- Erasing --------------------------------------------------------------------------------------------------------

// Keys first: without them the rest is public text or ciphertext.
void NodeImpl::erase(OpRef ref, Request& request) {
  if (as_text(request.x) != kEraseConfirmation) {
    return refuse(ref, Code::invalid, "to erase this data folder, confirm with the words: erase everything");
  }
  if (keystore_busy_) return refuse(ref, Code::busy, "the keystore is in use; try again");
  stage_ = Stage::suspending;
  shut_down([this, ref] { erase_files(ref); });
}

void NodeImpl::erase_files(OpRef ref) {
  keystore_.reset();
  protected_ = false;
  name_.clear();
  invites_.clear();
  peers_.clear();
  introductions_.clear();
  numbers_.clear();
  auto erased = std::make_shared<Status>();
  context_.run(
      JobQueue::writer,
      [erased, files = context_.ports.files, options = keystore_options()] {
        *erased = Keystore::erase(*files, options);
        if (erased->ok()) *erased = files->remove_tree("stores");
        for (const char* name : {"node.db", "node.db-wal", "node.db-shm", "node.db-journal"}) {
          if (erased->ok()) *erased = files->remove(name);
        }
      },
      [this, ref, erased] {
        if (stage_ == Stage::closing) return context_.complete(ref, *erased);
        lock_.reset();
        Status status = *erased;
        if (status.ok()) status = reopen_folder();
        stage_ = status.ok() ? Stage::running : Stage::suspended;
        publish();
        context_.complete(ref, status);
      });
}

}  // namespace sereus::node
