/* Hosts, connections and streams of the application, over real sockets: two nodes in memory, without identities. */
#include "support.h"

#define PROTOCOL "/echo-test/1.0.0"
#define TOTAL (1u << 20)
#define PART (64u << 10)

static sereus_node* open_in_memory(void) {
  sereus_config config = test_config(NULL);
  config.flags &= ~SEREUS_OPEN_OFFLINE;
  return open_node(&config);
}

/* Takes events until one of `kind`; others are freed. */
static sereus_event* wait_kind(sereus_node* node, uint32_t kind) {
  sereus_event* event;
  while ((event = next_event(node)) != NULL) {
    if (sereus_event_kind(event) == kind) return event;
    sereus_event_free(event);
  }
  return NULL;
}

static sereus_id make_host(sereus_node* node, const char* listen, char* address, size_t size) {
  sereus_host_config config = SEREUS_INIT(sereus_host_config);
  sereus_id op, host;
  config.listen = listen == NULL ? NULL : &listen;
  config.listen_count = listen == NULL ? 0 : 1;
  REQUIRE(sereus_host_create(node, &config, &op) == SEREUS_OK);
  if (listen != NULL) {
    sereus_event* event = wait_kind(node, SEREUS_EVENT_LISTENING);
    REQUIRE(event != NULL);
    snprintf(address, size, "%s", sereus_event_listening(event)->address);
    sereus_event_free(event);
  }
  {
    const sereus_done done = wait_done(node, op);
    CHECK_STATUS(done.status, SEREUS_OK);
    host = done.host;
  }
  REQUIRE(host != 0);
  return host;
}

static sereus_id wait_stream(sereus_node* node, sereus_id connection_expected) {
  sereus_event* event = wait_kind(node, SEREUS_EVENT_STREAM);
  sereus_id stream;
  REQUIRE(event != NULL);
  CHECK(strcmp(sereus_event_stream(event)->protocol, PROTOCOL) == 0);
  if (connection_expected != 0) CHECK_EQUAL(sereus_event_stream(event)->connection, connection_expected);
  stream = sereus_event_stream(event)->stream;
  sereus_event_free(event);
  return stream;
}

static sereus_status write_all(sereus_node* node, sereus_id stream, const char* text, uint32_t flags) {
  sereus_id op;
  CHECK_STATUS(sereus_stream_write(node, stream, bytes_of(text), flags, &op), SEREUS_OK);
  return wait_status(node, op);
}

/* Reads to the end; how many bytes, or -1 when one is wrong. */
static long long read_pattern(sereus_node* node, sereus_id stream) {
  long long total = 0;
  int finished = 0;
  while (!finished) {
    sereus_id op;
    sereus_event* event;
    if (sereus_stream_read(node, stream, 1u << 20, &op) != SEREUS_OK) return -1;
    do {
      event = wait_kind(node, SEREUS_EVENT_DONE);
      if (event == NULL) return -1;
      if (sereus_event_op(event) == op) break;
      sereus_event_free(event);
    } while (1);
    {
      const sereus_done* done = sereus_event_done(event);
      size_t i;
      if (done->status != SEREUS_OK) {
        sereus_event_free(event);
        return -1;
      }
      for (i = 0; i < done->data.size; ++i) {
        if (done->data.data[i] != (uint8_t)((total + (long long)i) % 251)) {
          sereus_event_free(event);
          return -1;
        }
      }
      total += (long long)done->data.size;
      finished = done->finished;
    }
    sereus_event_free(event);
  }
  return total;
}

static void one_transport(const char* listen) {
  sereus_node *server = open_in_memory(), *client = open_in_memory();
  char address[512] = "";
  sereus_id op, connection, stream, accepted, again;
  static uint8_t part[PART];
  uint32_t sent = 0;
  const sereus_id listening = make_host(server, listen, address, sizeof address);
  const sereus_id dialing = make_host(client, NULL, NULL, 0);

  REQUIRE(sereus_protocol_add(server, listening, PROTOCOL, &op) == SEREUS_OK);
  CHECK_STATUS(wait_status(server, op), SEREUS_OK);
  REQUIRE(sereus_protocol_add(server, listening, PROTOCOL, &op) == SEREUS_OK);
  CHECK_STATUS(wait_status(server, op), SEREUS_E_EXISTS);

  REQUIRE(sereus_dial(client, dialing, NULL, address, &op) == SEREUS_OK);
  {
    const sereus_done done = wait_done(client, op);
    CHECK_STATUS(done.status, SEREUS_OK);
    connection = done.connection;
  }
  REQUIRE(connection != 0);
  REQUIRE(sereus_dial(client, dialing, NULL, address, &op) == SEREUS_OK);
  again = wait_done(client, op).connection;
  CHECK_EQUAL(again, connection); /* used again */

  REQUIRE(sereus_ping(client, connection, &op) == SEREUS_OK);
  {
    const sereus_done done = wait_done(client, op);
    CHECK_STATUS(done.status, SEREUS_OK);
    CHECK(done.count > 0);
  }
  REQUIRE(sereus_identify(client, connection, &op) == SEREUS_OK);
  CHECK_STATUS(wait_status(client, op), SEREUS_OK);
  {
    sereus_rows* rows = NULL;
    const sereus_connection_info* info;
    CHECK_STATUS(sereus_connections(client, &rows), SEREUS_OK);
    info = sereus_rows_connection(rows, 0);
    REQUIRE(info != NULL);
    CHECK_EQUAL(info->connection, connection);
    CHECK_EQUAL(info->identified, 1);
    CHECK(strstr(info->protocols, PROTOCOL) != NULL);
    CHECK(strstr(info->agent, "sereus/") == info->agent);
    sereus_rows_free(rows);
  }

  /* No such protocol. */
  REQUIRE(sereus_stream_open(client, connection, "/nobody/1.0.0", &op) == SEREUS_OK);
  CHECK_STATUS(wait_status(client, op), SEREUS_E_UNSUPPORTED);

  /* One MiB one way, of which nobody reads a byte until all is asked for: what does not fit waits, and nothing is lost. */
  REQUIRE(sereus_stream_open(client, connection, PROTOCOL, &op) == SEREUS_OK);
  stream = wait_done(client, op).stream;
  REQUIRE(stream != 0);
  accepted = wait_stream(server, 0);
  while (sent < TOTAL) {
    uint32_t i;
    for (i = 0; i < PART; ++i) part[i] = (uint8_t)((sent + i) % 251);
    REQUIRE(sereus_stream_write(client, stream, bytes_at(part, PART), 0, &op) == SEREUS_OK);
    if (sent < (256u << 10)) {
      const sereus_done done = wait_done(client, op); /* within the window: no reader is needed */
      CHECK_STATUS(done.status, SEREUS_OK);
      CHECK_EQUAL(done.count, PART);
    }
    sent += PART;
  }
  REQUIRE(sereus_stream_write(client, stream, bytes_at(NULL, 0), SEREUS_STREAM_FINISH, &op) == SEREUS_OK);
  CHECK_EQUAL(read_pattern(server, accepted), sent);
  CHECK_STATUS(wait_status(client, op), SEREUS_OK);
  CHECK_STATUS(write_all(server, accepted, "thank you", SEREUS_STREAM_FINISH), SEREUS_OK);
  REQUIRE(sereus_stream_read(client, stream, 0, &op) == SEREUS_OK);
  {
    const sereus_done done = wait_done(client, op);
    CHECK_STATUS(done.status, SEREUS_OK);
    CHECK_EQUAL(done.count, 9);
  }

  /* A reset ends the other side's read. */
  REQUIRE(sereus_stream_open(client, connection, PROTOCOL, &op) == SEREUS_OK);
  stream = wait_done(client, op).stream;
  CHECK_STATUS(write_all(client, stream, "x", 0), SEREUS_OK);
  accepted = wait_stream(server, 0);
  REQUIRE(sereus_stream_reset(client, stream, &op) == SEREUS_OK);
  CHECK_STATUS(wait_status(client, op), SEREUS_OK);
  {
    sereus_event* event = wait_kind(server, SEREUS_EVENT_STREAM_CLOSED);
    REQUIRE(event != NULL);
    CHECK_EQUAL(sereus_event_stream_closed(event)->stream, accepted);
    sereus_event_free(event);
  }
  REQUIRE(sereus_stream_read(server, accepted, 0, &op) == SEREUS_OK);
  CHECK_STATUS(wait_status(server, op), SEREUS_E_NOT_FOUND);

  /* The connection's end is told to both. */
  REQUIRE(sereus_disconnect(client, connection, &op) == SEREUS_OK);
  CHECK_STATUS(wait_status(client, op), SEREUS_OK);
  {
    sereus_event* event;
    uint32_t what = 0;
    while ((event = wait_kind(server, SEREUS_EVENT_CONNECTION)) != NULL) {
      what = sereus_event_connection(event)->what;
      sereus_event_free(event);
      if (what == SEREUS_CONNECTION_DISCONNECTED) break;
    }
    CHECK_EQUAL(what, SEREUS_CONNECTION_DISCONNECTED);
  }
  REQUIRE(sereus_ping(client, connection, &op) == SEREUS_OK);
  CHECK_STATUS(wait_status(client, op), SEREUS_E_NOT_FOUND);

  /* The wrong peer is refused, whatever answers there. */
  {
    char wrong[600];
    char* at;
    snprintf(wrong, sizeof wrong, "%s", address);
    at = strstr(wrong, "/p2p/");
    REQUIRE(at != NULL);
    snprintf(at, 100, "/p2p/%s", "12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5");
    REQUIRE(sereus_dial(client, dialing, NULL, wrong, &op) == SEREUS_OK);
    CHECK_STATUS(wait_status(client, op), SEREUS_E_DENIED);
  }
  CHECK_STATUS(sereus_close(client), SEREUS_OK);
  CHECK(wait_closed(client));
  sereus_unref(client);
  sereus_unref(server);
}

static void rubbish(void) {
  sereus_node* node = open_in_memory();
  sereus_host_config config = SEREUS_INIT(sereus_host_config);
  sereus_id op;
  uint8_t seed[31] = {0};
  CHECK_STATUS(sereus_host_create(NULL, NULL, &op), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_host_create(node, NULL, NULL), SEREUS_E_INVALID);
  config.seed = bytes_at(seed, sizeof seed);
  CHECK_STATUS(sereus_host_create(node, &config, &op), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_dial(node, 0, NULL, NULL, &op), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_dial(node, 0, NULL, "/ip4/127.0.0.1/tcp/1", &op), SEREUS_OK);
  CHECK_STATUS(wait_status(node, op), SEREUS_E_NO_IDENTITY);
  CHECK_STATUS(sereus_dial(node, 999, NULL, "/ip4/127.0.0.1/tcp/1", &op), SEREUS_OK);
  CHECK_STATUS(wait_status(node, op), SEREUS_E_NOT_FOUND);
  CHECK_STATUS(sereus_ping(node, 0, &op), SEREUS_E_NOT_FOUND);
  CHECK_STATUS(sereus_stream_read(node, 77, 0, &op), SEREUS_OK);
  CHECK_STATUS(wait_status(node, op), SEREUS_E_NOT_FOUND);
  CHECK_STATUS(sereus_stream_write(node, 77, bytes_at(NULL, 0), 8, &op), SEREUS_E_UNSUPPORTED);
  {
    static uint8_t large[SEREUS_STREAM_WRITE_MAX + 1];
    CHECK_STATUS(sereus_stream_write(node, 77, bytes_at(large, sizeof large), 0, &op), SEREUS_E_TOO_LARGE);
  }
  {
    char address[512];
    const sereus_id host = make_host(node, "/ip4/127.0.0.1/udp/0/quic-v1", address, sizeof address);
    CHECK_STATUS(sereus_host_listen(node, host, "rubbish", &op), SEREUS_OK);
    CHECK(wait_status(node, op) != SEREUS_OK);
    CHECK_STATUS(sereus_host_listen(node, host, "/ip4/127.0.0.1/tcp/0", &op), SEREUS_OK);
    CHECK_STATUS(wait_status(node, op), SEREUS_OK);
    CHECK_STATUS(sereus_protocol_add(node, host, "/ipfs/ping/1.0.0", &op), SEREUS_OK);
    CHECK_STATUS(wait_status(node, op), SEREUS_E_EXISTS);
    CHECK_STATUS(sereus_dial(node, host, NULL, "/ip4/127.0.0.1/tcp/9", &op), SEREUS_OK);
    CHECK_STATUS(wait_status(node, op), SEREUS_E_INVALID); /* who must answer? */
    CHECK_STATUS(sereus_host_close(node, host, &op), SEREUS_OK);
    CHECK_STATUS(wait_status(node, op), SEREUS_OK);
    CHECK_STATUS(sereus_host_close(node, host, &op), SEREUS_OK);
    CHECK_STATUS(wait_status(node, op), SEREUS_E_NOT_FOUND);
  }
  sereus_unref(node);
}

/* Going offline ends connections; the host comes back on the same port with the same key. */
static void offline_and_back(void) {
  sereus_node* node = open_in_memory();
  char address[512] = "";
  sereus_id op;
  sereus_event* event;
  make_host(node, "/ip4/127.0.0.1/tcp/0", address, sizeof address);
  CHECK_STATUS(sereus_set_online(node, 0, &op), SEREUS_OK);
  CHECK_STATUS(wait_status(node, op), SEREUS_OK);
  CHECK_STATUS(sereus_set_online(node, 1, &op), SEREUS_OK);
  event = wait_kind(node, SEREUS_EVENT_LISTENING);
  REQUIRE(event != NULL);
  CHECK(strcmp(sereus_event_listening(event)->address, address) == 0);
  sereus_event_free(event);
  sereus_unref(node);
}

/* Forbidden transports are neither dialed nor listened on, settings change while a host runs, and rubbish is refused. */
static void settings(void) {
  sereus_node* node = open_in_memory();
  sereus_host_settings wanted = SEREUS_INIT(sereus_host_settings);
  sereus_host_config config = SEREUS_INIT(sereus_host_config);
  sereus_rate rates[2] = {SEREUS_INIT(sereus_rate), SEREUS_INIT(sereus_rate)};
  sereus_id op, host;
  sereus_done done;
  const char* tcp = "/ip4/127.0.0.1/tcp/0";
  config.settings = &wanted;
  wanted.transports = "carrier-pigeon";
  CHECK_STATUS(sereus_host_create(node, &config, &op), SEREUS_E_INVALID);
  wanted.transports = "quic";
  wanted.no_ipv4 = wanted.no_ipv6 = 1;
  CHECK_STATUS(sereus_host_create(node, &config, &op), SEREUS_E_INVALID);
  wanted.no_ipv4 = wanted.no_ipv6 = 0;
  wanted.rate_count = 1;
  CHECK_STATUS(sereus_host_create(node, &config, &op), SEREUS_E_INVALID);
  rates[0].up_max = rates[0].down_max = 64u << 20;
  rates[1].transport = "tcp";
  rates[1].up_max = 1u << 20;
  wanted.rates = rates;
  wanted.rate_count = 2;
  wanted.connections_low = 9;
  wanted.connections_high = 8;
  CHECK_STATUS(sereus_host_create(node, &config, &op), SEREUS_E_INVALID);
  wanted.connections_low = 4;
  wanted.certificate_file = "/nowhere/chain.pem";
  CHECK_STATUS(sereus_host_create(node, &config, &op), SEREUS_E_INVALID); /* without its key */
  wanted.key_file = "/nowhere/key.pem";
  CHECK_STATUS(sereus_host_create(node, &config, &op), SEREUS_OK);
  CHECK(wait_status(node, op) != SEREUS_OK);
  wanted.certificate_file = wanted.key_file = NULL;
  CHECK_STATUS(sereus_host_create(node, &config, &op), SEREUS_OK);
  done = wait_done(node, op);
  CHECK_STATUS(done.status, SEREUS_OK);
  host = done.host;
  CHECK_STATUS(sereus_host_listen(node, host, tcp, &op), SEREUS_OK);
  CHECK_STATUS(wait_status(node, op), SEREUS_E_DENIED);
  wanted.transports = "tcp quic";
  CHECK_STATUS(sereus_host_configure(node, host, &wanted, &op), SEREUS_OK);
  CHECK_STATUS(wait_status(node, op), SEREUS_OK);
  CHECK_STATUS(sereus_host_listen(node, host, tcp, &op), SEREUS_OK);
  CHECK_STATUS(wait_status(node, op), SEREUS_OK);
  CHECK_STATUS(sereus_host_configure(node, host, NULL, &op), SEREUS_OK);
  CHECK_STATUS(wait_status(node, op), SEREUS_OK);
  CHECK_STATUS(
      sereus_peer_protect(node, host, "12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5", "friend", 1, &op),
      SEREUS_OK);
  CHECK_STATUS(wait_status(node, op), SEREUS_OK);
  CHECK_STATUS(sereus_peer_protect(node, host, "12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5", "foe", 0, &op),
               SEREUS_OK);
  CHECK_STATUS(wait_status(node, op), SEREUS_E_NOT_FOUND);
  CHECK_STATUS(sereus_peer_protect(node, host, "rubbish", "friend", 1, &op), SEREUS_OK);
  CHECK_STATUS(wait_status(node, op), SEREUS_E_INVALID);
  CHECK_STATUS(sereus_network_changed(node, &op), SEREUS_OK);
  CHECK_STATUS(wait_status(node, op), SEREUS_OK);
  sereus_unref(node);
}

int main(void) {
  one_transport("/ip4/127.0.0.1/udp/0/quic-v1");
  one_transport("/ip4/127.0.0.1/tcp/0");
  one_transport("/ip4/127.0.0.1/tcp/0/ws");
  rubbish();
  offline_and_back();
  settings();
  return finish_tests();
}
