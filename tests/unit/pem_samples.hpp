#pragma once

/// A certificate, its key, and the key of another: made for the tests, of no use elsewhere.
namespace samples {

inline constexpr char kCertificate[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBeTCCAR+gAwIBAgIURviOPQipk2F6ER2JKtqyeUwmypowCgYIKoZIzj0EAwIw\n"
    "ETEPMA0GA1UEAwwGc2FtcGxlMCAXDTI2MTEyNDA4MTE1N1oYDzIxMjYxMDMxMDgx\n"
    "MTU3WjARMQ8wDQYDVQQDDAZzYW1wbGUwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC\n"
    "AARJ2mB3Ls+fagIuUmxwzqJxApB7zlXs0RooATydlm5Mf0UAcXc+TFzAkw4uh1Wp\n"
    "L6+NTYvQo3xNtwmIqBpOl68Fo1MwUTAdBgNVHQ4EFgQU5I4Z+BlA1KUa0ROJWl+F\n"
    "rsbnG90wHwYDVR0jBBgwFoAU5I4Z+BlA1KUa0ROJWl+FrsbnG90wDwYDVR0TAQH/\n"
    "BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiEAmj/rZ/cARYceBEMNAA8NS9mWPfVe\n"
    "Rv78fh/6cAqnE6QCIGqUAosXanK2Zr6dL2CFvvWMy0X1FD461ef5ZdyLOwNI\n"
    "-----END CERTIFICATE-----\n";

inline constexpr char kKey[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgj3KhmPmKc9z8MPtP\n"
    "OT7EftjKFLHz0x/vYyVZgWxdOdShRANCAARJ2mB3Ls+fagIuUmxwzqJxApB7zlXs\n"
    "0RooATydlm5Mf0UAcXc+TFzAkw4uh1WpL6+NTYvQo3xNtwmIqBpOl68F\n"
    "-----END PRIVATE KEY-----\n";

inline constexpr char kOtherKey[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgT95NPcGsf+k+roWO\n"
    "SxtVpTldoGD2Hknb3kHkGnkN8vahRANCAAQPC3xhFowM6h7Zf7+9+hkYPyRqqCEy\n"
    "TWr5YDBqhKQkGmu4uIdfKcNnWYhsABrAqkAyWXkUACzhRTsnAs/ADdDY\n"
    "-----END PRIVATE KEY-----\n";

/// With P-256 spelt out instead of named (openssl ecparam -param_enc explicit), and its key in both
/// forms.
inline constexpr char kExplicitCurve[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIICcDCCAhegAwIBAgIUHnTj0oZkkPE7GPdp0vxVATfRc+0wCgYIKoZIzj0EAwIw\n"
    "EzERMA8GA1UEAwwIZXhwbGljaXQwIBcNMjYxMTI3MTE0MTI2WhgPMjEyNjExMDMx\n"
    "MTQxMjZaMBMxETAPBgNVBAMMCGV4cGxpY2l0MIIBSzCCAQMGByqGSM49AgEwgfcC\n"
    "AQEwLAYHKoZIzj0BAQIhAP////8AAAABAAAAAAAAAAAAAAAA////////////////\n"
    "MFsEIP////8AAAABAAAAAAAAAAAAAAAA///////////////8BCBaxjXYqjqT57Pr\n"
    "vVV2mIa8ZR0GsMxTsPY7zjw+J9JgSwMVAMSdNgiG5wSTamZ44ROdJreBn36QBEEE\n"
    "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54W\n"
    "K84zV2sxXs7LtkBoN79R9QIhAP////8AAAAA//////////+85vqtpxeehPO5ysL8\n"
    "YyVRAgEBA0IABG4vzbtIn2httkVQyb6st4NTcZEHV0pAPpXIPzAI7kseiRcBrFA2\n"
    "ewBmfsYzExVI3I2DqH0ZrskGLCdicVVOV/+jUzBRMB0GA1UdDgQWBBRg5bxbCwqE\n"
    "vjmq4xtT3lt2MK4XcjAfBgNVHSMEGDAWgBRg5bxbCwqEvjmq4xtT3lt2MK4XcjAP\n"
    "BgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0cAMEQCICYUhZ7uRng+SXIFPBN4\n"
    "V235MKiirFlDulPWQNjNj6YYAiAwq+npXihpM4LOaOTskwVBYS3wIaBVqPmsrVrd\n"
    "71EgcA==\n"
    "-----END CERTIFICATE-----\n";

inline constexpr char kExplicitCurveKey[] =
    "-----BEGIN EC PRIVATE KEY-----\n"
    "MIIBaAIBAQQgSR1X/uKd/gEmIXw3lDaOFta5UIMekO/fRU1ue5VVykeggfowgfcC\n"
    "AQEwLAYHKoZIzj0BAQIhAP////8AAAABAAAAAAAAAAAAAAAA////////////////\n"
    "MFsEIP////8AAAABAAAAAAAAAAAAAAAA///////////////8BCBaxjXYqjqT57Pr\n"
    "vVV2mIa8ZR0GsMxTsPY7zjw+J9JgSwMVAMSdNgiG5wSTamZ44ROdJreBn36QBEEE\n"
    "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54W\n"
    "K84zV2sxXs7LtkBoN79R9QIhAP////8AAAAA//////////+85vqtpxeehPO5ysL8\n"
    "YyVRAgEBoUQDQgAEbi/Nu0ifaG22RVDJvqy3g1NxkQdXSkA+lcg/MAjuSx6JFwGs\n"
    "UDZ7AGZ+xjMTFUjcjYOofRmuyQYsJ2JxVU5X/w==\n"
    "-----END EC PRIVATE KEY-----\n";

inline constexpr char kExplicitCurvePkcs8[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIIBeQIBADCCAQMGByqGSM49AgEwgfcCAQEwLAYHKoZIzj0BAQIhAP////8AAAAB\n"
    "AAAAAAAAAAAAAAAA////////////////MFsEIP////8AAAABAAAAAAAAAAAAAAAA\n"
    "///////////////8BCBaxjXYqjqT57PrvVV2mIa8ZR0GsMxTsPY7zjw+J9JgSwMV\n"
    "AMSdNgiG5wSTamZ44ROdJreBn36QBEEEaxfR8uEsQkf4vOblY6RA8ncDfYEt6zOg\n"
    "9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9QIhAP////8A\n"
    "AAAA//////////+85vqtpxeehPO5ysL8YyVRAgEBBG0wawIBAQQgSR1X/uKd/gEm\n"
    "IXw3lDaOFta5UIMekO/fRU1ue5VVykehRANCAARuL827SJ9obbZFUMm+rLeDU3GR\n"
    "B1dKQD6VyD8wCO5LHokXAaxQNnsAZn7GMxMVSNyNg6h9Ga7JBiwnYnFVTlf/\n"
    "-----END PRIVATE KEY-----\n";

}  // namespace samples
