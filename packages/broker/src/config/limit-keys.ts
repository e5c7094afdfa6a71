/**
 * The rows of the table of options that bound what clients may take. What is off by default is off because an honest
 * installation may look like an attack to it: thousands of devices behind one address, a client that logs in for each message.
 */
import { isNetworks, networksRule } from '../model/networks.ts'
import { choice, gib, kib, mib, number, type OptionKey, yesNo } from './option-key.ts'

/** Remaining Length has at most four bytes: 268,435,455 and the fixed header. */
const packetBytesCeiling = 268_435_460

/** Without a limit of its container a process may use the memory of the machine. */
function backlogBytesDefault(): number {
  const bytes = process.constrainedMemory() || 4 * gib
  const machine = process.availableMemory() + process.memoryUsage.rss()
  return Math.max(64 * mib, Math.floor(Math.min(bytes, machine) / 4))
}

export const connectionLimitKeys = {
  connectBytesMax: number(
    512 * kib,
    { min: 64, max: packetBytesCeiling, unit: 'bytes' },
    'new',
    'Largest CONNECT taken, fixed header included: what an unknown client may make the broker hold',
  ),
  handshakeTimeoutMs: number(
    10_000,
    { min: 100, max: 600_000, unit: 'ms' },
    'restart',
    'Longest time for a PROXY header, for a TLS handshake, and for the head of a WebSocket request',
  ),
  connectionsPerAddressMax: number(
    0,
    { min: 0, max: 10_000_000, unit: 'connections' },
    'live',
    'Network connections at once from one address; 0: no limit',
  ),
  connectionsPerUserMax: number(
    0,
    { min: 0, max: 10_000_000, unit: 'connections' },
    'live',
    'Clients connected at once with one user name; 0: no limit',
  ),
  connectionsPerSecondPerAddressMax: number(
    0,
    { min: 0, max: 1_000_000, unit: 'connections' },
    'live',
    'Network connections a second from one address, on average and at once; 0: no limit',
  ),
  connectsPerSecondMax: number(
    0,
    { min: 0, max: 1_000_000, unit: 'logins' },
    'live',
    'CONNECTs a second, on average and at once, all clients together; 0: no limit',
  ),
  halfOpenMax: number(
    10_000,
    { min: 1, max: 10_000_000, unit: 'connections' },
    'live',
    'Network connections without CONNECT; beyond, the oldest of them is closed',
  ),
  halfOpenPerAddressMax: number(
    1_000,
    { min: 0, max: 10_000_000, unit: 'connections' },
    'live',
    'The same from one address; beyond, the oldest from there is closed. 0: no limit',
  ),
  ipv6PrefixBits: number(
    64,
    { min: 16, max: 128, unit: 'bits' },
    'restart',
    'How much of an IPv6 address counts as one address for limits and bans',
  ),
  addressesMax: number(
    100_000,
    { min: 1_000, max: 10_000_000, unit: 'addresses' },
    'live',
    'Addresses without a connection of which failures and rates are remembered; beyond, the one gone longest is forgotten',
  ),
}

export const clientLimitKeys = {
  messagesPerSecondMax: number(
    0,
    { min: 0, max: 100_000_000, unit: 'messages' },
    'new',
    'Messages a second that one client may publish, on average; 0: no limit',
  ),
  messagesBurstMax: number(
    0,
    { min: 0, max: 100_000_000, unit: 'messages' },
    'new',
    'Messages that it may publish at once after a pause; 0: those of one second',
  ),
  bytesPerSecondMax: number(
    0,
    { min: 0, max: 1_024 * gib, unit: 'bytes' },
    'new',
    'Bytes a second that one client may send, on average; 0: no limit',
  ),
  bytesBurstMax: number(
    0,
    { min: 0, max: 1_024 * gib, unit: 'bytes' },
    'new',
    'Bytes that it may send at once after a pause; 0: those of one second',
  ),
  rateExceeded: choice<'slow' | 'drop' | 'disconnect'>(
    'slow',
    ['slow', 'drop', 'disconnect'],
    'new',
    'What happens to a client that sends faster: slow, it is not read for a while; drop, its messages are refused; disconnect, it is, with 0x96',
  ),
  protocolVersionMin: choice<3 | 4 | 5>(
    3,
    [3, 4, 5],
    'new',
    'Lowest protocol level taken: 3 for MQTT 3.1, 4 for 3.1.1, 5 for 5.0',
  ),
  messageExpiryMax: number(
    0,
    { min: 0, max: 4_294_967_295, unit: 's' },
    'live',
    'Longest message expiry of what is retained or queued for kept sessions; larger ones, and messages without, get it. 0: no limit',
  ),
}

export const sessionLimitKeys = {
  queuesBytesMax: number(
    8 * gib,
    { min: kib, max: 1_024 * gib, unit: 'bytes' },
    'restart',
    'Bytes queued for all kept sessions together; beyond, messages for them are refused',
  ),
  sessionsMax: number(
    10_000_000,
    { min: 1, max: 100_000_000, unit: 'sessions' },
    'restart',
    'Sessions at once, connected or kept; beyond, CONNECT of a new client identifier is refused',
  ),
  subscriptionsMax: number(
    100_000,
    { min: 1, max: 10_000_000, unit: 'subscriptions' },
    'restart',
    'Subscriptions of one session; beyond, SUBSCRIBE is refused',
  ),
}

export const retainedKeys = {
  messagesMax: number(
    1_000_000,
    { min: 0, max: 100_000_000, unit: 'messages' },
    'restart',
    'Retained messages; beyond, a message for another topic is refused',
  ),
  bytesMax: number(
    gib,
    { min: 0, max: 1_024 * gib, unit: 'bytes' },
    'restart',
    'Bytes of all retained messages; beyond, more are refused',
  ),
  messageBytesMax: number(
    packetBytesCeiling,
    { min: 0, max: packetBytesCeiling, unit: 'bytes' },
    'restart',
    'Bytes of one retained message with its topic and properties; larger ones are refused',
  ),
}

export const backlogKeys = {
  backlogBytesMax: {
    ...number(
      backlogBytesDefault(),
      { min: mib, max: 1_024 * gib, unit: 'bytes' },
      'live',
      'Bytes held for all connections that read slowly; beyond, those that hold most lose them, or their connection (0x97)',
    ),
    defaultRule: "a quarter of the process's memory",
  },
  drainBytesPerSecondMin: number(
    mib,
    { min: 0, max: gib, unit: 'bytes' },
    'live',
    'What a subscriber must take while its publishers wait for it; below, they wait a tenth of the time. 0: they always wait',
  ),
}

export const banKeys = {
  failuresMax: number(
    100,
    { min: 0, max: 1_000_000, unit: 'logins' },
    'live',
    'Failed logins from one address within the window that ban it; 0: never',
  ),
  failuresWindowMs: number(
    60_000,
    { min: 1_000, max: 86_400_000, unit: 'ms' },
    'live',
    'The time in which failed logins are counted',
  ),
  clientIds: yesNo(
    false,
    'live',
    'Whether failed logins count for the client identifier too; anyone can fail in the name of another',
  ),
  users: yesNo(
    false,
    'live',
    'Whether failed logins count for the user name too; anyone can fail in the name of another',
  ),
  flappingConnectsMax: number(
    0,
    { min: 0, max: 1_000_000, unit: 'logins' },
    'live',
    'Logins of one client identifier within the window that ban it; 0: never',
  ),
  flappingWindowMs: number(
    60_000,
    { min: 1_000, max: 86_400_000, unit: 'ms' },
    'live',
    'The time in which the logins of a client identifier are counted',
  ),
  banMs: number(60_000, { min: 1_000, max: 31_536_000_000, unit: 'ms' }, 'live', 'How long a ban lasts'),
  exempt: {
    default: ['127.0.0.0/8', '::1/128'] as readonly string[],
    about: 'Addresses and networks that are never banned by themselves, nor clients that come from there',
    change: 'live',
    rule: networksRule,
    fits: isNetworks,
  } satisfies OptionKey<readonly string[]>,
  bansMax: number(
    10_000,
    { min: 1, max: 1_000_000, unit: 'bans' },
    'live',
    'Bans at once; beyond, the oldest ends early',
  ),
}
