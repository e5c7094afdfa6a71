/** What a request to a running node cannot be given: the HTTP status, the reason in words, and what to do. */
export class ControlError extends Error {
  override readonly name = 'ControlError'
  readonly status: number
  readonly remedy: string | undefined

  constructor(status: 400 | 404 | 409 | 413 | 503, message: string, remedy?: string) {
    super(message)
    this.status = status
    this.remedy = remedy
  }
}
