/**
 * Where each cost curve bends, and why: by hand, so to be looked at again when a curve has changed. Read off short profiles, and
 * where there was none the text says that it goes by the shape.
 */
export const bends: Readonly<Record<string, string>> = {
  subscribers:
    'A message gets cheaper up to 100 subscribers, since parsing and routing are shared by more copies. From 1,000 on it bends: a ' +
    'subscriber’s share of a turn of the event loop is a few messages then, and the write to its socket is what a copy costs.',
  topics:
    'It bends at the second topic: messages of one topic arrive in runs that are routed, encoded and queued as one, and where ' +
    'topics alternate each message is a run of its own. It bends again where the topics are more than the route cache holds: ' +
    'each message is matched in the subscription tree then, and its topic’s text made anew.',
  subscriptions:
    'Level while all routes are cached. It bends above some thousands of topics, when a topic is not met again before its place in ' +
    'the cache is taken: then a message costs a match in the tree, whose nodes come from main memory, and the route made for it.',
  payload:
    'At QoS 0 a message costs half a nanosecond a byte from 256 bytes on: the kernel copies it in and out, and each read of 64 KiB ' +
    'takes new memory that the collector gives back. At QoS 1 the handling of identifiers and acknowledgements hides that up to 1 KiB.',
  connections:
    'Cheapest at 200, where one turn of the event loop serves many. It bends between 200 and 2,000: the profile shows the same ' +
    'reads, writes and turns, each slower, and more collection, since what broker and kernel keep of a connection has left the ' +
    'caches of the processor by the time it is served again. From there on it is nearly level.',
  'offline sessions':
    'Level, by its shape alone: a session that is away costs memory, and a message that it does not want does not look at it.',
  'retained messages':
    'Delivery gets faster with their number, since subscribing and the first write cost what they cost. CPU counts loading and ' +
    'delivering: it bends at 100,000, above which the collector and the tree of topics in main memory take back what is gained.',
  nodes:
    'By the shape alone: one node orders on arrival. From four on, all of them write each message to disk, check signatures and apply it, here on the same ' +
    'two cores: CPU for a message grows with the nodes, as it must where each keeps everything.',
}
