// Whether this process may use the network.
#pragma once

namespace cli {

// `family`: AF_INET or AF_INET6. Opens a UDP socket, binds it to a port of the system's choice, and closes it.
bool udp_works(int family);

}  // namespace cli
