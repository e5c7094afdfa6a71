/** The rows of `$SYS` that say how often a limit was reached; part of the table in `sys-topics.ts`. */
import type { Counters } from '../telemetry/counters.ts'

/** What the state machine counted. */
export interface MachineLimits {
  readonly queueFull: number
  readonly queuesFull: number
  readonly retainedFull: number
}

interface LimitMoment {
  readonly counters: Counters
  readonly gauges: {
    readonly machine?: MachineLimits
    readonly halfOpen?: number
    readonly bans?: number
    readonly backlogBytes?: number
  }
}

type LimitValue = readonly [about: string, read: (moment: LimitMoment) => number | undefined]

export const limitSysValues: Readonly<Record<string, LimitValue>> = {
  'limits/connections/full': [
    'connections closed on arrival: `limits.connections-max`',
    (m) => m.counters.limits.connectionsFull,
  ],
  'limits/connections/address': [
    'connections refused: `limits.connections-per-address-max`',
    (m) => m.counters.limits.addressFull,
  ],
  'limits/connections/address_rate': [
    'connections refused: `limits.connections-per-second-per-address-max`',
    (m) => m.counters.limits.addressRate,
  ],
  'limits/connections/denied': [
    'connections closed because a rule denies their address',
    (m) => m.counters.limits.addressDenied,
  ],
  'limits/connections/user': ['logins refused: `limits.connections-per-user-max`', (m) => m.counters.limits.userFull],
  'limits/connections/rate': ['logins refused: `limits.connects-per-second-max`', (m) => m.counters.limits.connectRate],
  'limits/connections/waited': [
    'logins at a node of a cluster that waited for others to be ordered',
    (m) => m.counters.limits.loginsWaited,
  ],
  'limits/half_open/count': ['connections that have not sent CONNECT', (m) => m.gauges.halfOpen],
  'limits/half_open/closed': [
    'such connections closed for newer ones: `limits.half-open-max`, `limits.half-open-per-address-max`',
    (m) => m.counters.limits.halfOpen,
  ],
  'limits/addresses/forgotten': [
    'addresses forgotten: `limits.addresses-max`',
    (m) => m.counters.limits.addressesForgotten,
  ],
  'limits/proxy/refused': [
    'connections closed for a missing or malformed PROXY header',
    (m) => m.counters.limits.proxyHeaders,
  ],
  'limits/bans/count': ['bans in force', (m) => m.gauges.bans],
  'limits/bans/made': ['bans begun', (m) => m.counters.limits.bans],
  'limits/bans/refused': ['connections and logins refused by a ban', (m) => m.counters.limits.banned],
  'limits/bans/forgotten': ['bans ended early: `bans.bans-max`', (m) => m.counters.limits.bansForgotten],
  'limits/rate/slowed': [
    'times that a client was not read for a while: `limits.messages-per-second-max`, `limits.bytes-per-second-max`',
    (m) => m.counters.limits.rateSlowed,
  ],
  'limits/rate/dropped': ['messages refused for these rates', (m) => m.counters.limits.rateDropped],
  'limits/rate/disconnected': ['clients disconnected for these rates', (m) => m.counters.limits.rateDisconnected],
  'limits/sessions/refused': ['logins refused: `sessions.sessions-max`', (m) => m.counters.limits.sessionsFull],
  'limits/subscriptions/refused': [
    'topic filters refused: `sessions.subscriptions-max`',
    (m) => m.counters.limits.subscriptionsFull,
  ],
  'limits/queue/dropped': [
    'messages dropped by a full queue of a session: `sessions.queue-messages-max`, `sessions.queue-bytes-max`',
    (m) => m.gauges.machine?.queueFull,
  ],
  'limits/queue/refused': ['messages refused: `sessions.queues-bytes-max`', (m) => m.gauges.machine?.queuesFull],
  'limits/retained/refused': [
    'messages refused: `retained.messages-max`, `retained.bytes-max`, `retained.message-bytes-max`',
    (m) => m.gauges.machine?.retainedFull,
  ],
  'limits/delivery/disconnected': [
    'clients disconnected for a full queue: `delivery.queue-messages-max`, `delivery.queue-bytes-max`',
    (m) => m.counters.limits.queueDisconnected,
  ],
  'limits/delivery/held': ['bytes held for all connections that read slowly', (m) => m.gauges.backlogBytes],
  'limits/delivery/backlog': [
    'clients that lost what was queued for them, or their connection: `delivery.backlog-bytes-max`',
    (m) => m.counters.limits.backlogFull,
  ],
  'limits/delivery/slow': [
    'times that publishers stopped waiting for a subscriber: `delivery.drain-bytes-per-second-min`',
    (m) => m.counters.limits.drainSlow,
  ],
  'limits/log/suppressed': [
    'log lines left out because too many of their kind came at once',
    (m) => m.counters.limits.logLines,
  ],
}
