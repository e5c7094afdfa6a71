/** A value of `$SYS` as it is published. */
export interface SysValue {
  readonly topic: string
  /** Undefined: it is there no longer. An empty one is a value: nobody is jailed. */
  readonly payload: string | undefined
  /** False: a word to whoever listens now. */
  readonly retain: boolean
}
