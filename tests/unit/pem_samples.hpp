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

}  // namespace samples
