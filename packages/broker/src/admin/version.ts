/** The version this broker reports. A constant, because a bundled broker has no manifest to read; a test compares them. */
export const brokerVersion = '0.1.0'
