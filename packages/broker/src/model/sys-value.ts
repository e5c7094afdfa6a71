/** A value of `$SYS` as it is published. */
export interface SysValue {
  readonly topic: string
  /** Empty: it is there no longer. */
  readonly payload: string
  /** False: a word to whoever listens now. */
  readonly retain: boolean
}
