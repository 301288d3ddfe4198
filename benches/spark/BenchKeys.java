import java.util.Base64;
import org.apache.parquet.crypto.KeyAccessDeniedException;
import org.apache.parquet.crypto.keytools.LocalWrapKmsClient;

/**
 * Master keys for spark_side.py: Base64 in Spark's own configuration, because the patients are made up and the process is
 * alone. It wraps data keys as parquet-java does for any key service that hands out master keys.
 */
public class BenchKeys extends LocalWrapKmsClient {
    static final String PREFIX = "parcours.bench.key.";

    protected void initializeInternal() {}

    protected byte[] getMasterKeyFromServer(String name) {
        String key = hadoopConfiguration.get(PREFIX + name);
        if (key == null) {
            throw new KeyAccessDeniedException("no key " + name);
        }
        return Base64.getDecoder().decode(key);
    }
}
