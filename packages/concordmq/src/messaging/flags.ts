/** The flags of `pub` and `sub` as commander hands them over; all checks come later. */

export interface ClientFlags {
  readonly host?: string
  readonly port?: string
  readonly url?: string
  readonly unix?: string
  readonly protocolVersion?: string
  readonly username?: string
  readonly password?: string
  readonly passwordStdin?: true
  readonly id?: string
  readonly idPrefix?: string
  readonly keepalive?: string
  readonly disableCleanSession?: true
  readonly sessionExpiryInterval?: string
  readonly property?: readonly string[]
  readonly willTopic?: string
  readonly willPayload?: string
  readonly willQos?: string
  readonly willRetain?: true
  readonly cafile?: string
  readonly cert?: string
  readonly key?: string
  readonly insecure?: true
  readonly debug?: true
  readonly quiet?: true
}

export interface PubFlags extends ClientFlags {
  readonly topic?: string
  readonly message?: string
  readonly file?: string
  readonly nullMessage?: true
  readonly stdinLine?: true
  readonly stdinFile?: true
  readonly qos?: string
  readonly retain?: true
  readonly repeat?: string
  readonly repeatDelay?: string
}

export interface SubFlags extends ClientFlags {
  readonly topic?: readonly string[]
  readonly filterOut?: readonly string[]
  readonly unsubscribe?: readonly string[]
  readonly qos?: string
  readonly count?: string
  readonly timeout?: string
  readonly format?: string
  readonly eol: boolean
  readonly verbose?: true
  readonly exitAfterSubscribe?: true
  readonly stale: boolean
  readonly retainedOnly?: true
  readonly removeRetained?: true
  readonly retainAsPublished?: true
  readonly retainHandling?: string
}
