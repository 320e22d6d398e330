// Loaded before a server that listens on every interface: it listens on loopback instead.
//
// listen(port, "127.0.0.1") would not do: with a host it listens a moment later, and scripts ask for the address at once.
import { Server } from "node:net";

const bind = Server.prototype._listen2;
if (typeof bind !== "function") {
  throw new Error("loopback.mjs does not know this version of node");
}
Server.prototype._listen2 = function (address, port, addressType, backlog, fd, ...rest) {
  if (port >= 0) {
    address = "127.0.0.1";
    addressType = 4;
  }
  return bind.call(this, address, port, addressType, backlog, fd, ...rest);
};
