/*
 * sereus.h - the C interface of Sereus. This header is the manual.
 *
 * Sereus is an engine for local-first, peer-to-peer software: an identity, replicated stores of signed entries, and
 * the network that keeps them in step between devices. This version, 0.x, may still change between releases; from
 * 1.0 on it is append only.
 *
 * CONVENTIONS
 *
 *  1. Submit and drain. A function that changes something or talks to somebody copies its arguments, gives an operation
 *     id and returns at once. The operation is answered by exactly one SEREUS_EVENT_DONE that carries this id. All
 *     events of a node arrive in one ordered, bounded queue: take them with sereus_poll() or sereus_wait(), or let
 *     sereus_on_event() deliver them on a thread of the library. A room for the DONE is reserved when the operation is
 *     accepted, so a DONE is never lost; when there is none left the function returns SEREUS_E_AGAIN and nothing has
 *     happened. Other events that found the queue full are dropped and counted by one SEREUS_EVENT_DROPPED.
 *  2. Events are hints, the store is the truth. Whoever must not miss a change resumes a watch from (epoch, sequence).
 *  3. Reading is synchronous: sereus_store_get(), _list(), _heads() and the info functions read a snapshot and do not
 *     wait for writes in progress. A put whose DONE has arrived is durable and seen by every read that follows.
 *  4. Status. Functions return 0 (SEREUS_OK) or a negative SEREUS_E_*. sereus_status_name() and sereus_status_meaning()
 *     put it in words; the text of what went wrong in one case travels on the event (sereus_done.detail), and
 *     sereus_open() gives it through its log callback. Unknown negative numbers are failures of a newer library.
 *  5. Ownership. Arguments are borrowed for the call only. What comes out through `**` is the caller's, to be freed with the
 *     function its comment names. Pointers inside an event or a result live as long as it does. Free and unref functions
 *     take NULL.
 *  6. Structs begin with `size`: set it to sizeof(the struct) in those you pass (SEREUS_INIT does), and read no field
 *     beyond it in those you are given. Fields are only ever added at the end. Zero means the default everywhere.
 *  7. Ids are 64-bit numbers, never reused within a process; a stale one gives SEREUS_E_NOT_FOUND. 0 is none.
 *  8. Text is UTF-8 and ends with NUL. Keys and values are bytes.
 *  9. Threads. Every function may be called from any thread, except where its comment says otherwise. Callbacks: the wake
 *     callback may only signal; the log callback may only write the line away; an on_event callback may call anything.
 * 10. Unknown event kinds must be ignored: newer libraries send more.
 *
 * THE SMALLEST PROGRAM
 *
 *     sereus_config config = SEREUS_INIT(sereus_config);
 *     config.data_folder = "my-data";
 *     sereus_node *node = NULL;
 *     if (sereus_open(&config, &node) != SEREUS_OK) return 1;
 *     sereus_id op;
 *     sereus_identity_create(node, NULL, &op);
 *     sereus_event *event = NULL;
 *     while (sereus_wait(node, 10000, &event) == SEREUS_OK && event != NULL) {
 *       int done = sereus_event_op(event) == op && sereus_event_kind(event) == SEREUS_EVENT_DONE;
 *       sereus_event_free(event);
 *       if (done) break;
 *     }
 *     sereus_unref(node);
 */
#ifndef SEREUS_H
#define SEREUS_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#if defined(SEREUS_BUILD)
#define SEREUS_API __declspec(dllexport)
#else
#define SEREUS_API __declspec(dllimport)
#endif
#elif defined(__GNUC__)
#define SEREUS_API __attribute__((visibility("default")))
#else
#define SEREUS_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define SEREUS_VERSION_MAJOR 0
#define SEREUS_VERSION_MINOR 1
#define SEREUS_VERSION_PATCH 0

/* ---- Types ------------------------------------------------------------------------------------------------------- */

typedef struct sereus_node sereus_node;   /* an open node, or a connection to a daemon: the only long-lived pointer */
typedef struct sereus_event sereus_event; /* immutable; whoever took it from the queue frees it */
typedef struct sereus_rows sereus_rows;   /* the immutable result of a read; the caller frees it */
typedef uint64_t sereus_id;               /* operation, store, ...; 0 is none */
typedef int32_t sereus_status;            /* 0 ok, negative failure */

/* Borrowed bytes. data may be NULL when size is 0. */
typedef struct sereus_bytes {
  const uint8_t* data;
  size_t size;
} sereus_bytes;

/* Two clocks: timers use the first, timestamps and expiry the second. */
typedef struct sereus_times {
  uint64_t mono_us; /* monotonic microseconds, from any start */
  int64_t wall_us;  /* microseconds since 1970-01-01 UTC */
} sereus_times;

/* A struct with its size set and all else zero:  sereus_config config = SEREUS_INIT(sereus_config); */
#ifdef __cplusplus
#define SEREUS_INIT(type)      \
  ([] {                        \
    type init_{};              \
    init_.size = sizeof(type); \
    return init_;              \
  }())
#else
#define SEREUS_INIT(type) \
  { .size = sizeof(type) }
#endif

/* ---- Status ------------------------------------------------------------------------------------------------------ */

#define SEREUS_OK 0
#define SEREUS_E_INVALID (-1)
#define SEREUS_E_NOT_FOUND (-2)
#define SEREUS_E_EXISTS (-3)
#define SEREUS_E_AGAIN (-4)
#define SEREUS_E_BUSY (-5)
#define SEREUS_E_CLOSED (-6)
#define SEREUS_E_CANCELLED (-7)
#define SEREUS_E_TIMEOUT (-8)
#define SEREUS_E_DENIED (-9)
#define SEREUS_E_PASSPHRASE (-10)
#define SEREUS_E_CORRUPT (-11)
#define SEREUS_E_TOO_NEW (-12)
#define SEREUS_E_TOO_LARGE (-13)
#define SEREUS_E_MALFORMED (-14)
#define SEREUS_E_BAD_SIGNATURE (-15)
#define SEREUS_E_WRONG_STORE (-16)
#define SEREUS_E_FORK (-17)
#define SEREUS_E_GAP (-18)
#define SEREUS_E_NO_SPACE (-19)
#define SEREUS_E_IO (-20)
#define SEREUS_E_UNREACHABLE (-21)
#define SEREUS_E_PROTOCOL (-22)
#define SEREUS_E_EXPIRED (-23)
#define SEREUS_E_UNSUPPORTED (-24)
#define SEREUS_E_NO_MEMORY (-25)
#define SEREUS_E_INTERNAL (-26)
#define SEREUS_E_NO_IDENTITY (-27)
#define SEREUS_E_ARCHIVED (-28)
#define SEREUS_E_SUSPENDED (-29)
#define SEREUS_E_FUTURE (-30)
#define SEREUS_E_PENDING (-31)

/* Stable name, "SEREUS_E_NOT_FOUND", and a one-line meaning. Static text; never NULL. */
SEREUS_API const char* sereus_status_name(sereus_status status);
SEREUS_API const char* sereus_status_meaning(sereus_status status);

/* Library version, "0.1.0". Static text. */
SEREUS_API const char* sereus_version(void);

/* ---- Opening and closing ----------------------------------------------------------------------------------------- */

#define SEREUS_LOG_ERROR 1u
#define SEREUS_LOG_WARN 2u
#define SEREUS_LOG_INFO 3u
#define SEREUS_LOG_DEBUG 4u
#define SEREUS_LOG_TRACE 5u

/* One line, without newline. Called from the library's threads, one call at a time; must not call sereus_* functions.
 * Keys, tokens, passphrases and content are never in it; ids are shortened. */
typedef void (*sereus_log_fn)(void* user, uint32_t level, const char* room, const char* message);

#define SEREUS_OPEN_OFFLINE 1u         /* no sockets: read and write only; sereus_set_online() changes it */
#define SEREUS_OPEN_CALLER_DRIVEN 2u   /* no threads: the caller calls sereus_step() */
#define SEREUS_OPEN_FSYNC_EACH 4u      /* an fsync for every put, instead of one for those that wait together */
#define SEREUS_OPEN_KDF_INTERACTIVE 8u /* Argon2id with 64 MiB instead of 256 MiB: phones and tests */
#define SEREUS_OPEN_VERIFY_EACH 16u    /* check every received signature, not only the last of a chain */
#define SEREUS_OPEN_EXISTING 32u       /* fail with SEREUS_E_NOT_FOUND instead of making the data folder */

/* Bytes a second of one transport, or of all together. */
typedef struct sereus_rate {
  size_t size;
  const char* transport; /* "quic", "tcp", "ws", "wss"; NULL: all together */
  uint64_t up_max;       /* 0: no limit */
  uint64_t down_max;
} sereus_rate;

/* How a host is to behave. Zero and NULL are the defaults. */
typedef struct sereus_host_settings {
  size_t size;
  const char* transports;    /* allowed ones, the preferred first, with spaces between: "quic tcp wss ws" */
  const char* security;      /* of TCP and WebSocket, likewise: "tls noise" */
  int32_t no_ipv4;           /* 1: neither dialed nor listened on */
  int32_t no_ipv6;           /* likewise */
  int32_t metered;           /* 1: few dials at once, few connections kept */
  uint32_t connections_low;  /* above `high`, connections are closed down to `low`, unused ones first */
  uint32_t connections_high; /* 0: 768, and 640 for `low` */
  uint32_t connections_max;  /* what is above is refused */
  uint32_t connections_peer_max;
  uint32_t streams_peer_max; /* opened by one peer */
  uint64_t memory_max;       /* bytes that peers may make us hold, the reserve of each connection included */
  const sereus_rate* rates;
  size_t rate_count;
  const char* certificate_file; /* PEM chain, to listen on secure WebSocket; read again when it changes */
  const char* key_file;         /* PEM, unencrypted */
  const char*
      authorities_file; /* PEM: who may sign certificates of servers dialed over secure WebSocket; NULL: the system's */
  int32_t any_server;   /* 1: servers' certificates are not looked at; peers are proved all the same */
} sereus_host_settings;

typedef struct sereus_config {
  size_t size;
  const char* data_folder; /* made when missing, readable by its owner only; NULL: in memory, gone when it is closed */
  uint32_t flags;          /* SEREUS_OPEN_* */
  uint32_t log_level;      /* SEREUS_LOG_*; 0: SEREUS_LOG_WARN */
  sereus_log_fn log;       /* NULL: no log */
  void* log_user;
  sereus_bytes passphrase;   /* opens a protected keystore; wiped from the library's memory after use */
  const char* const* listen; /* multiaddrs to listen on; NULL: "/ip4/0.0.0.0/udp/0/quic-v1" and the IPv6 one */
  size_t listen_count;
  const char* control_socket;       /* path of a socket to serve sereus_connect() on; NULL: none */
  uint32_t event_queue_max;         /* 0: 4096 */
  uint32_t operations_max;          /* under way at once; 0: 65536 */
  const sereus_host_settings* host; /* of the node's own host; NULL: the defaults */
} sereus_config;

/* Opens a node on its data folder, and starts its threads unless it is caller-driven. The folder may be empty: then
 * sereus_identity_create() or _restore() comes first. Blocks while keys are derived and logs are recovered.
 * Errors: BUSY another process holds the folder; PASSPHRASE; CORRUPT; TOO_NEW; IO; NO_SPACE; INVALID. The reason in words
 * goes to config->log. On failure *out is NULL. */
SEREUS_API sereus_status sereus_open(const sereus_config* config, sereus_node** out);

/* Like sereus_open(), and copies the reason of a failure into `detail` (NUL-ended, cut to detail_size). detail may be
 * NULL. */
SEREUS_API sereus_status sereus_open_detailed(const sereus_config* config, sereus_node** out, char* detail,
                                              size_t detail_size);

/* Connects to the daemon that serves `control_socket` (sereus_config.control_socket). The node behaves like an opened
 * one, except that closing it only ends the connection. Errors: UNREACHABLE nobody serves it; DENIED not its owner. */
SEREUS_API sereus_status sereus_connect(const char* control_socket, sereus_node** out);

/* Begins to close: pending operations get their DONE (CANCELLED if they had not begun), then one SEREUS_EVENT_CLOSED
 * arrives and the queue is at its end. Functions called later return SEREUS_E_CLOSED. Does not block. */
SEREUS_API sereus_status sereus_close(sereus_node* node);

/* Gives the node up, closing it when that was not done; the pointer must not be used again. Does not block: what is
 * under way is finished in the background. To be sure that the data folder is free, wait for CLOSED first. NULL is fine.
 * From inside an on_event callback it takes effect after the callback returned. */
SEREUS_API void sereus_unref(sereus_node* node);

/* Finishes what is under way within `deadline_ms`, writes everything back, closes sockets and releases the lock of the
 * data folder, so that the system may freeze the process or another process may open the folder. Blocks, at most
 * about the deadline. Operations submitted while suspended return SEREUS_E_SUSPENDED; reads too. Watches end with DONE
 * (CANCELLED); after resuming, watch again from the last (epoch, sequence). */
SEREUS_API sereus_status sereus_suspend(sereus_node* node, uint32_t deadline_ms);
/* Takes the lock again, looks at what another process may have changed, opens sockets anew. BUSY: still held. */
SEREUS_API sereus_status sereus_resume(sereus_node* node);

/* Opens (1) or closes (0) all sockets; stores stay usable. DONE when it holds. */
SEREUS_API sereus_status sereus_set_online(sereus_node* node, int online, sereus_id* op);

/* ---- Events ------------------------------------------------------------------------------------------------------ */

/* Takes the next event; *out is NULL when there is none. The caller frees it with sereus_event_free(). */
SEREUS_API sereus_status sereus_poll(sereus_node* node, sereus_event** out);
/* Like sereus_poll(), waiting up to timeout_ms (UINT32_MAX: for ever). *out is NULL after a time-out; SEREUS_E_CLOSED after
 * CLOSED was taken. INVALID on a caller-driven node. */
SEREUS_API sereus_status sereus_wait(sereus_node* node, uint32_t timeout_ms, sereus_event** out);

/* Called when the queue goes from empty to not empty, on a thread of the library; may only signal (write a byte, set a
 * flag). NULL removes it; when the function has returned the old callback is not running and will not be called. */
typedef void (*sereus_wake_fn)(void* user);
SEREUS_API sereus_status sereus_on_wake(sereus_node* node, sereus_wake_fn wake, void* user);

/* Delivers events on a thread that the library owns, in order, one at a time. The callback owns the event and frees it. It may
 * call any function, sereus_close() and sereus_unref() included. A node is drained either so or by poll/wait: the other is
 * refused with SEREUS_E_BUSY. NULL stops the delivery: when the function has returned the callback is not running, unless it
 * is the caller. INVALID on a caller-driven node. */
typedef void (*sereus_event_fn)(void* user, sereus_event* event);
SEREUS_API sereus_status sereus_on_event(sereus_node* node, sereus_event_fn callback, void* user);

/* Caller-driven nodes: runs what is due at `now` and sets *next_mono_us to when it wants to run again (UINT64_MAX: only
 * after the next call or input). One thread at a time. */
SEREUS_API sereus_status sereus_step(sereus_node* node, const sereus_times* now, uint64_t* next_mono_us);

/* Cancels an operation: its DONE arrives with SEREUS_E_CANCELLED, or with its result when that came first. A put that began to
 * be written is finished. Ends a watch. NOT_FOUND when it is over. */
SEREUS_API sereus_status sereus_cancel(sereus_node* node, sereus_id op);

#define SEREUS_EVENT_DONE 1u           /* sereus_event_done() */
#define SEREUS_EVENT_CLOSED 2u         /* the last event */
#define SEREUS_EVENT_DROPPED 3u        /* sereus_event_dropped() */
#define SEREUS_EVENT_LISTENING 4u      /* sereus_event_listening() */
#define SEREUS_EVENT_PEER 5u           /* sereus_event_peer(): connected, disconnected, joined, removed */
#define SEREUS_EVENT_STORE 6u          /* sereus_event_store(): added, archived */
#define SEREUS_EVENT_STORE_CHANGE 7u   /* sereus_event_store_change(), for a watch */
#define SEREUS_EVENT_WATCH_RESET 8u    /* sereus_event_watch_reset() */
#define SEREUS_EVENT_SYNC_PROGRESS 9u  /* sereus_event_sync_progress(); coalesced */
#define SEREUS_EVENT_CLOCK_SUSPECT 10u /* sereus_event_clock_suspect(); the node goes on */
#define SEREUS_EVENT_FORK 11u          /* sereus_event_fork(): an author signed two histories */
#define SEREUS_EVENT_CONNECTION 12u    /* sereus_event_connection(): connected, disconnected, identified */
#define SEREUS_EVENT_STREAM 13u        /* sereus_event_stream(): a peer opened one; never dropped */
#define SEREUS_EVENT_STREAM_CLOSED 14u /* sereus_event_stream_closed(): reset, or its connection ended */
#define SEREUS_EVENT_REFUSED 15u       /* sereus_event_refused(): a limit of a host was reached */

SEREUS_API uint32_t sereus_event_kind(const sereus_event* event);
SEREUS_API sereus_id sereus_event_op(const sereus_event* event);         /* the operation it belongs to, or 0 */
SEREUS_API sereus_status sereus_event_status(const sereus_event* event); /* of a DONE; SEREUS_OK for others */
SEREUS_API void sereus_event_free(sereus_event* event);

/* Typed accessors: NULL when the event is of another kind. */

typedef struct sereus_done {
  size_t size;
  sereus_id op;
  sereus_status status;
  const char* detail;   /* one line: what is wrong and what to do; "" when all is well */
  sereus_id store;      /* store_create, join (the root store): its id */
  sereus_bytes data;    /* invite_create: text; identity_backup: bytes; put, write: hash of the entry (32) */
  uint64_t count;       /* put, write: change sequence; sync: entries received */
  uint64_t count_sent;  /* sync: entries sent */
  sereus_id host;       /* host_create */
  sereus_id connection; /* dial, identify */
  sereus_id stream;     /* stream_open */
  int32_t finished;     /* stream_read: 1 when the peer's end was reached */
} sereus_done;
SEREUS_API const sereus_done* sereus_event_done(const sereus_event* event);

typedef struct sereus_dropped {
  size_t size;
  uint64_t count; /* events lost since the one before this */
} sereus_dropped;
SEREUS_API const sereus_dropped* sereus_event_dropped(const sereus_event* event);

typedef struct sereus_listening {
  size_t size;
  const char* address; /* multiaddr with /p2p */
} sereus_listening;
SEREUS_API const sereus_listening* sereus_event_listening(const sereus_event* event);

#define SEREUS_PEER_CONNECTED 1u
#define SEREUS_PEER_DISCONNECTED 2u
#define SEREUS_PEER_JOINED 3u /* redeemed an invite of ours */
#define SEREUS_PEER_REMOVED 4u
#define SEREUS_PEER_SYNCED 5u /* a round of sync ended with equal digests */
typedef struct sereus_peer_event {
  size_t size;
  uint32_t what;       /* SEREUS_PEER_* */
  const char* peer;    /* peer id */
  const char* name;    /* "" when unknown */
  const char* address; /* multiaddr, "" when unknown */
  sereus_id store;     /* SYNCED: which */
} sereus_peer_event;
SEREUS_API const sereus_peer_event* sereus_event_peer(const sereus_event* event);

#define SEREUS_STORE_ADDED 1u
#define SEREUS_STORE_ARCHIVED 2u
typedef struct sereus_store_event {
  size_t size;
  uint32_t what; /* SEREUS_STORE_ADDED, _ARCHIVED */
  sereus_id store;
  const char* uuid; /* 32 hexadecimal digits */
  const char* name;
} sereus_store_event;
SEREUS_API const sereus_store_event* sereus_event_store(const sereus_event* event);

typedef struct sereus_store_change {
  size_t size;
  sereus_id watch; /* the operation id of sereus_store_watch() */
  sereus_id store;
  uint64_t epoch; /* with sequence: where to resume */
  uint64_t sequence;
  sereus_bytes key;
  sereus_bytes value; /* empty for a deletion */
  int32_t deleted;
  int32_t winner; /* 1: what a read returned right after it was applied */
  uint64_t hlc_wall_ms;
  uint32_t hlc_counter;
  sereus_bytes author; /* 32 bytes */
} sereus_store_change;
SEREUS_API const sereus_store_change* sereus_event_store_change(const sereus_event* event);

/* Sequences started anew (another epoch) or the position is gone: read the store, then changes follow from here on. */
typedef struct sereus_watch_reset {
  size_t size;
  sereus_id watch;
  sereus_id store;
  uint64_t epoch;
  uint64_t sequence;
} sereus_watch_reset;
SEREUS_API const sereus_watch_reset* sereus_event_watch_reset(const sereus_event* event);

typedef struct sereus_sync_progress {
  size_t size;
  sereus_id op; /* of sereus_sync() or sereus_join(); 0 for one that ran by itself */
  sereus_id store;
  const char* peer;
  uint64_t entries_received; /* durable here, in this session */
  uint64_t entries_sent;
  uint64_t entries_missing; /* still to come, as far as known */
} sereus_sync_progress;
SEREUS_API const sereus_sync_progress* sereus_event_sync_progress(const sereus_event* event);

typedef struct sereus_clock_suspect {
  size_t size;
  int64_t wall_us;    /* what the clock says */
  const char* reason; /* in words */
} sereus_clock_suspect;
SEREUS_API const sereus_clock_suspect* sereus_event_clock_suspect(const sereus_event* event);

typedef struct sereus_fork {
  size_t size;
  sereus_id store;
  sereus_bytes author; /* 32 bytes */
  uint64_t seq;
} sereus_fork;
SEREUS_API const sereus_fork* sereus_event_fork(const sereus_event* event);

#define SEREUS_CONNECTION_CONNECTED 1u
#define SEREUS_CONNECTION_DISCONNECTED 2u
#define SEREUS_CONNECTION_IDENTIFIED 3u /* sereus_connections() tells what the peer said of itself */
typedef struct sereus_connection_event {
  size_t size;
  uint32_t what; /* SEREUS_CONNECTION_* */
  sereus_id host;
  sereus_id connection;
  const char* peer;    /* peer id, proved by the handshake */
  const char* address; /* the other side's multiaddr, without /p2p */
  int32_t incoming;
  sereus_status status; /* DISCONNECTED: why; SEREUS_OK when it was closed in order */
  const char* detail;
} sereus_connection_event;
SEREUS_API const sereus_connection_event* sereus_event_connection(const sereus_event* event);

typedef struct sereus_stream_event {
  size_t size;
  sereus_id host;
  sereus_id connection;
  sereus_id stream; /* to be read, written and finished, or reset */
  const char* protocol;
  const char* peer; /* peer id */
} sereus_stream_event;
SEREUS_API const sereus_stream_event* sereus_event_stream(const sereus_event* event);

typedef struct sereus_stream_closed {
  size_t size;
  sereus_id host;
  sereus_id connection;
  sereus_id stream; /* not to be used any more; what waited on it has got its DONE */
  sereus_status status;
  const char* detail;
} sereus_stream_closed;
SEREUS_API const sereus_stream_closed* sereus_event_stream_closed(const sereus_event* event);

#define SEREUS_REFUSED_CONNECTIONS_TOTAL 1u
#define SEREUS_REFUSED_CONNECTIONS_PEER 2u
#define SEREUS_REFUSED_HALF_OPEN 3u         /* handshakes under way at once */
#define SEREUS_REFUSED_HANDSHAKE_RATE 4u    /* handshakes a second */
#define SEREUS_REFUSED_HANDSHAKE_ADDRESS 5u /* handshakes a second from one address */
#define SEREUS_REFUSED_STREAMS_TOTAL 6u
#define SEREUS_REFUSED_STREAMS_PEER 7u
#define SEREUS_REFUSED_STREAMS_PROTOCOL 8u
#define SEREUS_REFUSED_STREAMS_PROTOCOL_PEER 9u
#define SEREUS_REFUSED_MEMORY_TOTAL 10u
#define SEREUS_REFUSED_MEMORY_PEER 11u
/* Those of the same reason within a second are told together. */
typedef struct sereus_refused {
  size_t size;
  uint32_t reason; /* SEREUS_REFUSED_* */
  int32_t incoming;
  sereus_id host;
  const char* reason_name; /* "streams of a peer" */
  const char* peer;        /* "" when it was not proved yet */
  const char* address;     /* multiaddr, or "" */
  const char* protocol;    /* of a stream, or "" */
  uint64_t count;
} sereus_refused;
SEREUS_API const sereus_refused* sereus_event_refused(const sereus_event* event);

/* ---- Identity ---------------------------------------------------------------------------------------------------- */

typedef struct sereus_identity_options {
  size_t size;
  const char* name;        /* of this device, shown to peers; NULL: "device" */
  sereus_bytes passphrase; /* protects the keystore; empty: the file alone protects it */
} sereus_identity_options;

/* Makes party, device and author keys. EXISTS when there is an identity. options may be NULL. */
SEREUS_API sereus_status sereus_identity_create(sereus_node* node, const sereus_identity_options* options,
                                                sereus_id* op);
/* A backup of the keys and of where the stores are to be had, encrypted with `passphrase` (not empty): done.data. */
SEREUS_API sereus_status sereus_identity_backup(sereus_node* node, sereus_bytes passphrase, sereus_id* op);
/* Restores a backup into a data folder without identity. Entries are then written under a new author key, so that a
 * restored copy never forks a log. `options->passphrase` protects the new keystore. */
SEREUS_API sereus_status sereus_identity_restore(sereus_node* node, sereus_bytes backup, sereus_bytes passphrase,
                                                 const sereus_identity_options* options, sereus_id* op);
/* An empty `to` removes the protection. */
SEREUS_API sereus_status sereus_passphrase_change(sereus_node* node, sereus_bytes from, sereus_bytes to, sereus_id* op);
/* Destroys the keys and every store of this data folder. `confirm` must be "erase everything". The node has no identity
 * afterwards. Copies on other devices stay. */
SEREUS_API sereus_status sereus_erase(sereus_node* node, const char* confirm, sereus_id* op);

/* ---- Stores ------------------------------------------------------------------------------------------------------ */

#define SEREUS_KEY_SIZE_MAX 4096u
#define SEREUS_VALUE_SIZE_MAX 1048576u
#define SEREUS_TRANSACTION_OPS_MAX 4096u

/* Creates a store and declares it in the root store `root` (0: this node's own, made when there is none yet):
 * done.store. `name` is for people and need not be unique. */
SEREUS_API sereus_status sereus_store_create(sereus_node* node, sereus_id root, const char* name, sereus_id* op);
/* Finds a store by its uuid, or the beginning of it (at least 4 digits), or its name. NOT_FOUND; INVALID when it fits
 * several. Synchronous. */
SEREUS_API sereus_status sereus_store_open(sereus_node* node, const char* uuid_or_name, sereus_id* store);
/* Declares the store deleted for all; replicas keep it, read-only (archived). */
SEREUS_API sereus_status sereus_store_delete(sereus_node* node, sereus_id store, sereus_id* op);
/* Removes the local data of an archived store. INVALID for one that is not archived. */
SEREUS_API sereus_status sereus_store_drop(sereus_node* node, sereus_id store, sereus_id* op);

/* Writes one entry. DONE: durable, and visible to every later read. TOO_LARGE over the limits above. */
SEREUS_API sereus_status sereus_store_put(sereus_node* node, sereus_id store, sereus_bytes key, sereus_bytes value,
                                          sereus_id* op);
SEREUS_API sereus_status sereus_store_remove(sereus_node* node, sereus_id store, sereus_bytes key, sereus_id* op);

#define SEREUS_WRITE_PUT 1u
#define SEREUS_WRITE_REMOVE 2u
typedef struct sereus_write {
  uint32_t kind; /* SEREUS_WRITE_* */
  uint32_t reserved;
  sereus_bytes key;
  sereus_bytes value;
} sereus_write;
/* A transaction: all of it in one entry, or nothing. A key may stand in it once. */
SEREUS_API sereus_status sereus_store_write(sereus_node* node, sereus_id store, const sereus_write* writes,
                                            size_t count, sereus_id* op);

/* Reads the winner: highest timestamp, then author. NOT_FOUND when there is none. *out: one row for sereus_rows_head(). */
SEREUS_API sereus_status sereus_store_get(sereus_node* node, sereus_id store, sereus_bytes key, sereus_rows** out);
/* All heads of a key, winner first, tombstones included: more than one means written concurrently. sereus_rows_head(). */
SEREUS_API sereus_status sereus_store_heads(sereus_node* node, sereus_id store, sereus_bytes key, sereus_rows** out);
#define SEREUS_LIST_VALUES 1u /* with values */
/* Keys beginning with `prefix`, after `after` (exclusive; empty: from the first), in byte order, at most `limit` (0: 1000, at
 * most 4096). sereus_rows_item(). */
SEREUS_API sereus_status sereus_store_list(sereus_node* node, sereus_id store, sereus_bytes prefix, sereus_bytes after,
                                           uint32_t limit, uint32_t flags, sereus_rows** out);

/* Sends STORE_CHANGE for every change whose key begins with `prefix`, from (epoch, sequence) on, or from now on when both
 * are 0, or the whole history for (SEREUS_WATCH_ALL, 0). Each is sent once and in order, over restarts too; the watch waits
 * when the queue is full. Ends with sereus_cancel(); its DONE arrives then. */
#define SEREUS_WATCH_ALL UINT64_MAX
SEREUS_API sereus_status sereus_store_watch(sereus_node* node, sereus_id store, sereus_bytes prefix, uint64_t epoch,
                                            uint64_t sequence, sereus_id* op);
/* Reads the whole log of a store: every hash, chain and signature. DONE with CORRUPT says where. */
SEREUS_API sereus_status sereus_store_verify(sereus_node* node, sereus_id store, sereus_id* op);

/* ---- Peers ------------------------------------------------------------------------------------------------------- */

#define SEREUS_ROLE_READ 1u
#define SEREUS_ROLE_WRITE 2u
#define SEREUS_ROLE_ADMIN 3u

typedef struct sereus_invite_options {
  size_t size;
  sereus_id root;     /* 0: this node's own root store, made when there is none */
  uint32_t role;      /* SEREUS_ROLE_*; 0: write */
  uint32_t uses_max;  /* 0: 1 */
  uint32_t expires_s; /* 0: 24 hours */
  const char* peer;   /* only this peer id may redeem it; NULL: whoever has it */
} sereus_invite_options;

/* An invite to all stores of a root: one line of text in done.data. Only this node redeems it. */
SEREUS_API sereus_status sereus_invite_create(sereus_node* node, const sereus_invite_options* options, sereus_id* op);
/* `invite`: its text, or the id that sereus_invites() shows. */
SEREUS_API sereus_status sereus_invite_revoke(sereus_node* node, const char* invite, sereus_id* op);
/* Redeems an invite: dials its issuer, is admitted, learns of the stores and begins to sync them. DONE when admitted and
 * the root store is here (done.store); PEER_SYNCED events follow. DENIED: unknown, used, revoked; EXPIRED; UNREACHABLE. */
SEREUS_API sereus_status sereus_join(sereus_node* node, const char* invite, sereus_id* op);
/* Revokes a peer in the root stores where this node is admin: it can neither sync nor write from now on. */
SEREUS_API sereus_status sereus_peer_remove(sereus_node* node, const char* peer, sereus_id* op);
/* Remembers an address ("/ip4/192.0.2.1/udp/4001/quic-v1" or "/ip4/192.0.2.1/tcp/4001", with or without /p2p) for a peer and dials it. */
SEREUS_API sereus_status sereus_peer_add_address(sereus_node* node, const char* peer, const char* address,
                                                 sereus_id* op);
/* Syncs now: `store` (0: all) with `peer` (NULL: all reachable). DONE when digests are equal with all of them;
 * UNREACHABLE when none could be reached. Connected peers sync by themselves; this waits for it. */
SEREUS_API sereus_status sereus_sync(sereus_node* node, sereus_id store, const char* peer, sereus_id* op);

/* ---- Hosts, connections, streams ------------------------------------------------------------------------------------ */

/* A host is a libp2p endpoint: a peer id with its sockets. Host 0 is the node's own, which carries its stores; it exists
 * while the node has an identity and is online. Others are made here and need no identity: each has its own key and carries
 * only what the application does with it. Multiaddrs of transports: /ip4|ip6/<ip>/udp/<port>/quic-v1,
 * /ip4|ip6/<ip>/tcp/<port>, and that with /ws or /tls/ws behind it; dialed ones may have /dns4, /dns6 or /dns and a name. Every host answers identify, identify/push and ping, and asks each new peer to identify. */

#define SEREUS_STREAM_WRITE_MAX 1048576u /* bytes of one write */

typedef struct sereus_host_config {
  size_t size;
  sereus_bytes seed;         /* 32 bytes, the secret of its key; empty: drawn, another peer id every time */
  const char* const* listen; /* multiaddrs; NULL: it only dials */
  size_t listen_count;
  const sereus_host_settings* settings; /* NULL: the defaults */
} sereus_host_config;

/* Makes another host: done.host, and its peer id as text in done.data. config may be NULL. LISTENING events tell its addresses.
 * Going offline or suspending ends its connections; it listens on the same ports afterwards. */
SEREUS_API sereus_status sereus_host_create(sereus_node* node, const sereus_host_config* config, sereus_id* op);
/* Closes a host and all that is on it. */
SEREUS_API sereus_status sereus_host_close(sereus_node* node, sereus_id host, sereus_id* op);
/* Listens on one more multiaddr; port 0 draws one. done.data: all addresses of the host with /p2p, one a line. */
SEREUS_API sereus_status sereus_host_listen(sereus_node* node, sereus_id host, const char* address, sereus_id* op);

/* Changes the settings of a host while it runs, all of them; connections that are there stay. `security` and the files of secure
 * WebSocket stay as they were when it was made. NULL: the defaults. */
SEREUS_API sereus_status sereus_host_configure(sereus_node* node, sereus_id host, const sereus_host_settings* settings,
                                               sereus_id* op);
/* Keeps (1) the connections of a peer when there are too many, or no longer (0). `tag` says on whose behalf: a peer is free when
 * all its tags are gone. */
SEREUS_API sereus_status sereus_peer_protect(sereus_node* node, sereus_id host, const char* peer, const char* tag,
                                             int on, sereus_id* op);
/* The device woke, or its network is another: connections move or are found dead within seconds, and peers are dialed at once. On
 * systems where the library sees this by itself (Linux), calling it does no harm. */
SEREUS_API sereus_status sereus_network_changed(sereus_node* node, sereus_id* op);

/* Accepts streams of a protocol ("/example/1.0.0"): STREAM events, to this handle of the node alone. EXISTS when it is served. */
SEREUS_API sereus_status sereus_protocol_add(sereus_node* node, sereus_id host, const char* protocol, sereus_id* op);
SEREUS_API sereus_status sereus_protocol_remove(sereus_node* node, sereus_id host, const char* protocol, sereus_id* op);

/* Connects to a peer at one of `addresses` (multiaddrs, one a line; a /p2p part must name the peer, and must be there when `peer`
 * is NULL): done.connection, its peer id as text in done.data. A connection that is there is used again; then addresses may be
 * NULL. DENIED: somebody else answers there. */
SEREUS_API sereus_status sereus_dial(sereus_node* node, sereus_id host, const char* peer, const char* addresses,
                                     sereus_id* op);
SEREUS_API sereus_status sereus_disconnect(sereus_node* node, sereus_id connection, sereus_id* op);
/* Round trip to the peer: done.count, in microseconds. */
SEREUS_API sereus_status sereus_ping(sereus_node* node, sereus_id connection, sereus_id* op);
/* DONE when the peer has said who it is: sereus_connections() has it. */
SEREUS_API sereus_status sereus_identify(sereus_node* node, sereus_id connection, sereus_id* op);

/* Opens a stream for a protocol: done.stream. UNSUPPORTED: the peer does not speak it. */
SEREUS_API sereus_status sereus_stream_open(sereus_node* node, sereus_id connection, const char* protocol,
                                            sereus_id* op);
#define SEREUS_STREAM_FINISH 1u /* nothing is written after this; the other direction stays open */
/* Writes, behind earlier writes. DONE when the connection has taken all of it: a peer that does not read delays it. At most
 * 1 MiB at once and 1 MiB ahead: TOO_LARGE, or DONE with AGAIN. data may be empty to finish alone. */
SEREUS_API sereus_status sereus_stream_write(sereus_node* node, sereus_id stream, sereus_bytes data, uint32_t flags,
                                             sereus_id* op);
/* Reads: DONE when there are bytes (done.data, at most size_max; 0: 64 KiB; at most 1 MiB) or the end (done.finished). Bytes
 * that nobody reads stop the peer. One read of a stream at a time: BUSY. */
SEREUS_API sereus_status sereus_stream_read(sereus_node* node, sereus_id stream, uint32_t size_max, sereus_id* op);
/* Ends both directions at once; what was not sent is lost. A stream whose two directions have ended needs none. */
SEREUS_API sereus_status sereus_stream_reset(sereus_node* node, sereus_id stream, sereus_id* op);

SEREUS_API sereus_status sereus_hosts(sereus_node* node, sereus_rows** out);       /* sereus_rows_host() */
SEREUS_API sereus_status sereus_connections(sereus_node* node, sereus_rows** out); /* sereus_rows_connection() */

/* ---- Information: synchronous ------------------------------------------------------------------------------------- */

SEREUS_API sereus_status sereus_info(sereus_node* node, sereus_rows** out);    /* one row: sereus_rows_info() */
SEREUS_API sereus_status sereus_stores(sereus_node* node, sereus_rows** out);  /* sereus_rows_store() */
SEREUS_API sereus_status sereus_peers(sereus_node* node, sereus_rows** out);   /* sereus_rows_peer() */
SEREUS_API sereus_status sereus_invites(sereus_node* node, sereus_rows** out); /* sereus_rows_invite() */
/* Equal on replicas in the same state: H over all keys and heads. Reads the whole index. One row: sereus_rows_head() with the
 * 32 bytes as value. */
SEREUS_API sereus_status sereus_store_state_digest(sereus_node* node, sereus_id store, sereus_rows** out);

SEREUS_API size_t sereus_rows_count(const sereus_rows* rows); /* 0 for NULL */
SEREUS_API void sereus_rows_free(sereus_rows* rows);

/* Row accessors: NULL when the index is out of range or the rows are of another kind. */

typedef struct sereus_item {
  size_t size;
  sereus_bytes key;
  sereus_bytes value; /* empty unless asked for */
  uint64_t value_size;
  uint64_t hlc_wall_ms;
  uint32_t hlc_counter;
  uint32_t heads;      /* more than one: written concurrently */
  sereus_bytes author; /* 32 bytes */
} sereus_item;
SEREUS_API const sereus_item* sereus_rows_item(const sereus_rows* rows, size_t index);

typedef struct sereus_head {
  size_t size;
  sereus_bytes value;
  uint64_t hlc_wall_ms;
  uint32_t hlc_counter;
  int32_t deleted;
  uint64_t seq;        /* of its author */
  sereus_bytes author; /* 32 bytes */
  sereus_bytes hash;   /* of the entry, 32 bytes */
} sereus_head;
SEREUS_API const sereus_head* sereus_rows_head(const sereus_rows* rows, size_t index);

typedef struct sereus_node_info {
  size_t size;
  const char* peer;  /* peer id; "" without identity */
  const char* party; /* party key in hexadecimal; "" without identity */
  const char* name;
  const char* data_folder;
  const char* addresses;      /* listened on, with /p2p, one a line */
  int32_t protected_keystore; /* 1: a passphrase is set */
  int32_t online;
  int32_t clock_suspect;
  uint32_t connections;
  uint32_t operations; /* under way */
  uint64_t bytes_sent; /* datagram payload since it was opened */
  uint64_t bytes_received;
  uint64_t entries_received; /* by sync since it was opened: the same entry twice counts twice */
  uint64_t entries_sent;
} sereus_node_info;
SEREUS_API const sereus_node_info* sereus_rows_info(const sereus_rows* rows, size_t index);

#define SEREUS_STORE_ACTIVE 1u
#define SEREUS_STORE_IS_ARCHIVED 2u
#define SEREUS_STORE_DAMAGED 3u /* could not be opened; detail says why */
typedef struct sereus_store_info {
  size_t size;
  sereus_id store;
  sereus_id root;   /* its root store; its own id when it is one */
  const char* uuid; /* 32 hexadecimal digits */
  const char* name;
  const char* detail;
  uint32_t state; /* SEREUS_STORE_* */
  int32_t is_root;
  uint64_t entries;
  uint64_t keys;
  uint64_t conflicts; /* keys with more than one head */
  uint64_t authors;
  uint64_t held; /* entries from the future, kept until their time */
  uint64_t forks;
  uint64_t log_bytes;
  uint64_t epoch;
  uint64_t sequence;
  sereus_bytes digest; /* 16 bytes over (author, tip): equal when in step */
} sereus_store_info;
SEREUS_API const sereus_store_info* sereus_rows_store(const sereus_rows* rows, size_t index);

typedef struct sereus_peer_info {
  size_t size;
  const char* peer;
  const char* party; /* hexadecimal */
  const char* name;
  const char* addresses; /* known, one a line */
  const char* detail;    /* of the last failure */
  uint32_t role;         /* SEREUS_ROLE_* */
  int32_t connected;
  int32_t removed;
  int32_t is_self;
  uint64_t last_sync_ms; /* wall time of the last round that ended equal; 0 never */
  uint64_t failures;     /* in a row */
} sereus_peer_info;
SEREUS_API const sereus_peer_info* sereus_rows_peer(const sereus_rows* rows, size_t index);

typedef struct sereus_invite_info {
  size_t size;
  const char* id; /* short name for revoking */
  uint32_t role;
  uint32_t uses_left;
  int64_t expires_wall_s;
  int32_t revoked;
  const char* peer; /* "" when for whoever has it */
} sereus_invite_info;
SEREUS_API const sereus_invite_info* sereus_rows_invite(const sereus_rows* rows, size_t index);

typedef struct sereus_host_info {
  size_t size;
  sereus_id host; /* 0: the node's own */
  const char* peer;
  const char* addresses; /* listened on, with /p2p, one a line */
  const char* protocols; /* of the application, one a line */
  uint32_t connections;
} sereus_host_info;
SEREUS_API const sereus_host_info* sereus_rows_host(const sereus_rows* rows, size_t index);

typedef struct sereus_connection_info {
  size_t size;
  sereus_id connection;
  sereus_id host;
  const char* peer;
  const char* address; /* the other side's multiaddr, without /p2p */
  int32_t incoming;
  uint32_t streams;      /* of the application */
  int32_t identified;    /* 1: the fields that follow are what the peer said */
  int32_t signed_record; /* 1: its addresses are signed by it */
  const char* agent;
  const char* protocol_version;
  const char* observed;  /* the address we seem to have */
  const char* protocols; /* one a line */
  const char* addresses; /* where it listens, one a line */
} sereus_connection_info;
SEREUS_API const sereus_connection_info* sereus_rows_connection(const sereus_rows* rows, size_t index);

#ifdef __cplusplus
}
#endif

#endif /* SEREUS_H */
