/* Golden sizes and offsets of every struct, on systems with 64-bit longs and pointers. A failure here breaks programs
 * that were compiled before: structs only ever grow at the end, and then a line is added here. */
#include "support.h"

#define SIZE(type, expected) CHECK_EQUAL(sizeof(type), expected)
#define AT(type, field, expected) CHECK_EQUAL(offsetof(type, field), expected)

static void check_arguments(void) {
  SIZE(sereus_id, 8);
  SIZE(sereus_status, 4);
  SIZE(sereus_bytes, 16);
  AT(sereus_bytes, data, 0);
  AT(sereus_bytes, size, 8);
  SIZE(sereus_times, 16);
  AT(sereus_times, mono_us, 0);
  AT(sereus_times, wall_us, 8);

  SIZE(sereus_config, 96);
  AT(sereus_config, size, 0);
  AT(sereus_config, data_folder, 8);
  AT(sereus_config, flags, 16);
  AT(sereus_config, log_level, 20);
  AT(sereus_config, log, 24);
  AT(sereus_config, log_user, 32);
  AT(sereus_config, passphrase, 40);
  AT(sereus_config, listen, 56);
  AT(sereus_config, listen_count, 64);
  AT(sereus_config, control_socket, 72);
  AT(sereus_config, event_queue_max, 80);
  AT(sereus_config, operations_max, 84);
  AT(sereus_config, host, 88);

  SIZE(sereus_identity_options, 32);
  AT(sereus_identity_options, size, 0);
  AT(sereus_identity_options, name, 8);
  AT(sereus_identity_options, passphrase, 16);

  SIZE(sereus_write, 40);
  AT(sereus_write, kind, 0);
  AT(sereus_write, reserved, 4);
  AT(sereus_write, key, 8);
  AT(sereus_write, value, 24);

  SIZE(sereus_invite_options, 40);
  AT(sereus_invite_options, size, 0);
  AT(sereus_invite_options, root, 8);
  AT(sereus_invite_options, role, 16);
  AT(sereus_invite_options, uses_max, 20);
  AT(sereus_invite_options, expires_s, 24);
  AT(sereus_invite_options, peer, 32);
}

static void check_events(void) {
  SIZE(sereus_done, 104);
  AT(sereus_done, size, 0);
  AT(sereus_done, op, 8);
  AT(sereus_done, status, 16);
  AT(sereus_done, detail, 24);
  AT(sereus_done, store, 32);
  AT(sereus_done, data, 40);
  AT(sereus_done, count, 56);
  AT(sereus_done, count_sent, 64);
  AT(sereus_done, host, 72);
  AT(sereus_done, connection, 80);
  AT(sereus_done, stream, 88);
  AT(sereus_done, finished, 96);

  SIZE(sereus_dropped, 16);
  AT(sereus_dropped, count, 8);
  SIZE(sereus_listening, 16);
  AT(sereus_listening, address, 8);

  SIZE(sereus_peer_event, 48);
  AT(sereus_peer_event, what, 8);
  AT(sereus_peer_event, peer, 16);
  AT(sereus_peer_event, name, 24);
  AT(sereus_peer_event, address, 32);
  AT(sereus_peer_event, store, 40);

  SIZE(sereus_store_event, 40);
  AT(sereus_store_event, what, 8);
  AT(sereus_store_event, store, 16);
  AT(sereus_store_event, uuid, 24);
  AT(sereus_store_event, name, 32);

  SIZE(sereus_store_change, 112);
  AT(sereus_store_change, watch, 8);
  AT(sereus_store_change, store, 16);
  AT(sereus_store_change, epoch, 24);
  AT(sereus_store_change, sequence, 32);
  AT(sereus_store_change, key, 40);
  AT(sereus_store_change, value, 56);
  AT(sereus_store_change, deleted, 72);
  AT(sereus_store_change, winner, 76);
  AT(sereus_store_change, hlc_wall_ms, 80);
  AT(sereus_store_change, hlc_counter, 88);
  AT(sereus_store_change, author, 96);

  SIZE(sereus_watch_reset, 40);
  AT(sereus_watch_reset, watch, 8);
  AT(sereus_watch_reset, store, 16);
  AT(sereus_watch_reset, epoch, 24);
  AT(sereus_watch_reset, sequence, 32);

  SIZE(sereus_sync_progress, 56);
  AT(sereus_sync_progress, op, 8);
  AT(sereus_sync_progress, store, 16);
  AT(sereus_sync_progress, peer, 24);
  AT(sereus_sync_progress, entries_received, 32);
  AT(sereus_sync_progress, entries_sent, 40);
  AT(sereus_sync_progress, entries_missing, 48);

  SIZE(sereus_clock_suspect, 24);
  AT(sereus_clock_suspect, wall_us, 8);
  AT(sereus_clock_suspect, reason, 16);

  SIZE(sereus_fork, 40);
  AT(sereus_fork, store, 8);
  AT(sereus_fork, author, 16);
  AT(sereus_fork, seq, 32);

  SIZE(sereus_connection_event, 64);
  AT(sereus_connection_event, what, 8);
  AT(sereus_connection_event, host, 16);
  AT(sereus_connection_event, connection, 24);
  AT(sereus_connection_event, peer, 32);
  AT(sereus_connection_event, address, 40);
  AT(sereus_connection_event, incoming, 48);
  AT(sereus_connection_event, status, 52);
  AT(sereus_connection_event, detail, 56);

  SIZE(sereus_stream_event, 48);
  AT(sereus_stream_event, host, 8);
  AT(sereus_stream_event, connection, 16);
  AT(sereus_stream_event, stream, 24);
  AT(sereus_stream_event, protocol, 32);
  AT(sereus_stream_event, peer, 40);

  SIZE(sereus_stream_closed, 48);
  AT(sereus_stream_closed, host, 8);
  AT(sereus_stream_closed, connection, 16);
  AT(sereus_stream_closed, stream, 24);
  AT(sereus_stream_closed, status, 32);
  AT(sereus_stream_closed, detail, 40);

  SIZE(sereus_refused, 64);
  AT(sereus_refused, reason, 8);
  AT(sereus_refused, incoming, 12);
  AT(sereus_refused, host, 16);
  AT(sereus_refused, reason_name, 24);
  AT(sereus_refused, peer, 32);
  AT(sereus_refused, address, 40);
  AT(sereus_refused, protocol, 48);
  AT(sereus_refused, count, 56);

  SIZE(sereus_host_config, 48);
  AT(sereus_host_config, seed, 8);
  AT(sereus_host_config, listen, 24);
  AT(sereus_host_config, listen_count, 32);
  AT(sereus_host_config, settings, 40);

  SIZE(sereus_rate, 32);
  AT(sereus_rate, transport, 8);
  AT(sereus_rate, up_max, 16);
  AT(sereus_rate, down_max, 24);

  SIZE(sereus_host_settings, 112);
  AT(sereus_host_settings, transports, 8);
  AT(sereus_host_settings, security, 16);
  AT(sereus_host_settings, no_ipv4, 24);
  AT(sereus_host_settings, no_ipv6, 28);
  AT(sereus_host_settings, metered, 32);
  AT(sereus_host_settings, connections_low, 36);
  AT(sereus_host_settings, connections_high, 40);
  AT(sereus_host_settings, connections_max, 44);
  AT(sereus_host_settings, connections_peer_max, 48);
  AT(sereus_host_settings, streams_peer_max, 52);
  AT(sereus_host_settings, memory_max, 56);
  AT(sereus_host_settings, rates, 64);
  AT(sereus_host_settings, rate_count, 72);
  AT(sereus_host_settings, certificate_file, 80);
  AT(sereus_host_settings, key_file, 88);
  AT(sereus_host_settings, authorities_file, 96);
  AT(sereus_host_settings, any_server, 104);
}

static void check_rows(void) {
  SIZE(sereus_item, 80);
  AT(sereus_item, key, 8);
  AT(sereus_item, value, 24);
  AT(sereus_item, value_size, 40);
  AT(sereus_item, hlc_wall_ms, 48);
  AT(sereus_item, hlc_counter, 56);
  AT(sereus_item, heads, 60);
  AT(sereus_item, author, 64);

  SIZE(sereus_head, 80);
  AT(sereus_head, value, 8);
  AT(sereus_head, hlc_wall_ms, 24);
  AT(sereus_head, hlc_counter, 32);
  AT(sereus_head, deleted, 36);
  AT(sereus_head, seq, 40);
  AT(sereus_head, author, 48);
  AT(sereus_head, hash, 64);

  SIZE(sereus_node_info, 104);
  AT(sereus_node_info, peer, 8);
  AT(sereus_node_info, party, 16);
  AT(sereus_node_info, name, 24);
  AT(sereus_node_info, data_folder, 32);
  AT(sereus_node_info, addresses, 40);
  AT(sereus_node_info, protected_keystore, 48);
  AT(sereus_node_info, online, 52);
  AT(sereus_node_info, clock_suspect, 56);
  AT(sereus_node_info, connections, 60);
  AT(sereus_node_info, operations, 64);
  AT(sereus_node_info, bytes_sent, 72);
  AT(sereus_node_info, bytes_received, 80);
  AT(sereus_node_info, entries_received, 88);
  AT(sereus_node_info, entries_sent, 96);

  SIZE(sereus_store_info, 144);
  AT(sereus_store_info, store, 8);
  AT(sereus_store_info, root, 16);
  AT(sereus_store_info, uuid, 24);
  AT(sereus_store_info, name, 32);
  AT(sereus_store_info, detail, 40);
  AT(sereus_store_info, state, 48);
  AT(sereus_store_info, is_root, 52);
  AT(sereus_store_info, entries, 56);
  AT(sereus_store_info, keys, 64);
  AT(sereus_store_info, conflicts, 72);
  AT(sereus_store_info, authors, 80);
  AT(sereus_store_info, held, 88);
  AT(sereus_store_info, forks, 96);
  AT(sereus_store_info, log_bytes, 104);
  AT(sereus_store_info, epoch, 112);
  AT(sereus_store_info, sequence, 120);
  AT(sereus_store_info, digest, 128);

  SIZE(sereus_peer_info, 80);
  AT(sereus_peer_info, peer, 8);
  AT(sereus_peer_info, party, 16);
  AT(sereus_peer_info, name, 24);
  AT(sereus_peer_info, addresses, 32);
  AT(sereus_peer_info, detail, 40);
  AT(sereus_peer_info, role, 48);
  AT(sereus_peer_info, connected, 52);
  AT(sereus_peer_info, removed, 56);
  AT(sereus_peer_info, is_self, 60);
  AT(sereus_peer_info, last_sync_ms, 64);
  AT(sereus_peer_info, failures, 72);

  SIZE(sereus_invite_info, 48);
  AT(sereus_invite_info, id, 8);
  AT(sereus_invite_info, role, 16);
  AT(sereus_invite_info, uses_left, 20);
  AT(sereus_invite_info, expires_wall_s, 24);
  AT(sereus_invite_info, revoked, 32);
  AT(sereus_invite_info, peer, 40);

  SIZE(sereus_host_info, 48);
  AT(sereus_host_info, host, 8);
  AT(sereus_host_info, peer, 16);
  AT(sereus_host_info, addresses, 24);
  AT(sereus_host_info, protocols, 32);
  AT(sereus_host_info, connections, 40);

  SIZE(sereus_connection_info, 96);
  AT(sereus_connection_info, connection, 8);
  AT(sereus_connection_info, host, 16);
  AT(sereus_connection_info, peer, 24);
  AT(sereus_connection_info, address, 32);
  AT(sereus_connection_info, incoming, 40);
  AT(sereus_connection_info, streams, 44);
  AT(sereus_connection_info, identified, 48);
  AT(sereus_connection_info, signed_record, 52);
  AT(sereus_connection_info, agent, 56);
  AT(sereus_connection_info, protocol_version, 64);
  AT(sereus_connection_info, observed, 72);
  AT(sereus_connection_info, protocols, 80);
  AT(sereus_connection_info, addresses, 88);
}

int main(void) {
  if (sizeof(void*) == 8 && sizeof(long) == 8) {
    check_arguments();
    check_events();
    check_rows();
  } else {
    CHECK(1);
  }
  return finish_tests();
}
