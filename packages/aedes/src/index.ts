/** The broker under Aedes' names. Every public name. */
export { Aedes, type DeliverFunction } from './aedes.ts'
export { Client } from './client.ts'
export type {
  AedesHandlers,
  AedesOptions,
  Authenticate,
  AuthorizeForward,
  AuthorizePublish,
  AuthorizeSubscribe,
  PreConnect,
  Published,
} from './options.ts'
export type { ConnackPacket, ConnectPacket, Publishable, PublishPacket, Subscription } from './packets.ts'
